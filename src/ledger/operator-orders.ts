import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { START } from "../config/command-line.ts";
import { isBefore, type LedgerPosition } from "../postgres/ledger.ts";
import {
  goBack,
  readOrders,
  rememberPartitions,
  type SinkOrders,
  usePartitionsOrdered,
} from "../postgres/sink-orders.ts";
import { SharedFlight } from "../runtime/shared-flight.ts";
import { type Logger, messageOf } from "../telemetry/log.ts";
import type { EventSink, Partitions } from "./sinks/sink.ts";

/** How often the publisher looks for orders. Only an operator waits for them. */
const LOOK_INTERVAL_MS = 1000;

/** An open sink and how far it has the ledger. */
export interface SinkCursor {
  sink: EventSink;
  cursor: LedgerPosition;
}

/** `held`: nothing may be published now. `overtaken`: another session has moved the cursor. */
export type OrdersOutcome = "none" | "held" | "overtaken";

/**
 * Carries out an operator's orders to the publisher: change the number of partitions that keys are spread
 * over, or publish events again. Orders run between two sends, when everything sent is acknowledged.
 * Otherwise one event of a seat could be on its way to one partition while the next goes to another.
 */
export class OperatorOrders {
  private lookAt = Number.NEGATIVE_INFINITY;
  private laggards: string[] | "unknown" = "unknown";
  private readonly asking = new SharedFlight((partitions: Partitions) => this.askForLaggards(partitions));
  private isHeld = false;
  private hasNamedLaggards = false;
  private warnedOfCount: number | undefined;

  constructor(private readonly log: Logger) {}

  /** Tells a newly opened sink its number of partitions: the stored one or, the first time, the topic's own. */
  async opened(session: NodePgDatabase, { name, partitions }: EventSink): Promise<void> {
    if (!partitions) return;
    const orders = await readOrders(session, name);
    const count = orders?.partitionCount ?? partitions.count;
    if (orders?.partitionCount == null) await rememberPartitions(session, name, count);
    partitions.use(count);
    this.compare(partitions.count, count);
  }

  /** Carries out waiting orders, at most once a second, and updates `position.cursor`. */
  async carryOut(session: NodePgDatabase, position: SinkCursor): Promise<OrdersOutcome> {
    const now = performance.now();
    if (now - this.lookAt < LOOK_INTERVAL_MS) return this.isHeld ? "held" : "none";
    this.lookAt = now;
    const { sink } = position;
    const orders = await readOrders(session, sink.name);
    if (!orders) return "none";
    if (sink.partitions) {
      this.compare(sink.partitions.count, orders.partitionCount ?? sink.partitions.count);
      if ((await this.switchPartitions(session, sink, sink.partitions, orders)) === "held") return "held";
    }
    return orders.again ? this.publishAgain(session, position, orders.again) : "none";
  }

  private async switchPartitions(
    session: NodePgDatabase,
    { name }: EventSink,
    partitions: Partitions,
    { partitionCount, wantedPartitionCount: wanted, waitsForConsumers }: SinkOrders,
  ): Promise<"none" | "held"> {
    if (wanted === null || wanted === partitionCount) {
      if (wanted === null && this.hasNamedLaggards)
        this.log.info(
          { partitions: partitionCount },
          "publishing continues: the order to wait was withdrawn",
        );
      this.letGo();
      return "none";
    }
    if (waitsForConsumers && !this.haveConsumersReadAll(partitions)) return "held";
    const isUsed = await usePartitionsOrdered(session, name, wanted);
    this.letGo();
    if (!isUsed) return "none";
    partitions.use(wanted);
    this.log.info(
      { from: partitionCount, to: wanted },
      "events are now spread over the confirmed number of partitions",
    );
    this.compare(partitions.count, wanted);
    return "none";
  }

  /** Asks the brokers without waiting for their answer; a later round uses it. Nothing is published until then. */
  private haveConsumersReadAll(partitions: Partitions): boolean {
    this.isHeld = true;
    if (this.laggards !== "unknown" && this.laggards.length === 0) return true;
    if (this.laggards !== "unknown" && !this.hasNamedLaggards) {
      this.hasNamedLaggards = true;
      this.log.warn(
        { groups: this.laggards },
        "publishing is paused until these consumer groups have read everything",
      );
    }
    void this.asking.join(partitions);
    return false;
  }

  private async askForLaggards(partitions: Partitions): Promise<void> {
    try {
      this.laggards = await partitions.findLaggards();
    } catch (error) {
      this.log.debug({ error: messageOf(error) }, "the brokers did not report what consumers have read");
    }
  }

  private letGo(): void {
    this.isHeld = false;
    this.hasNamedLaggards = false;
    this.laggards = "unknown";
  }

  private async publishAgain(
    session: NodePgDatabase,
    position: SinkCursor,
    asked: LedgerPosition,
  ): Promise<"none" | "overtaken"> {
    const { sink, cursor } = position;
    const to = isBefore(cursor, asked) ? cursor : asked;
    await sink.startOver?.();
    if (!(await goBack(session, sink.name, { from: cursor, to }))) return "overtaken";
    position.cursor = to;
    this.log.info({ sink: sink.name }, "an operator ordered events to be published again");
    return "none";
  }

  private compare(count: number, used: number): void {
    if (count === used) {
      if (this.warnedOfCount !== undefined)
        this.log.info({ partitions: count }, "events are spread over all partitions of the topic again");
      this.warnedOfCount = undefined;
      return;
    }
    if (this.warnedOfCount === count) return;
    this.warnedOfCount = count;
    this.log.warn(
      { partitions: count, used },
      `the topic's number of partitions differs from the number that its events are spread over: run \`${START} topic\``,
    );
  }
}
