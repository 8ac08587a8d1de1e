import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { PublisherAudit } from "../dispatch/messages.ts";
import { CHAIN_START, linkRows } from "../ledger/chain.ts";
import type { EventSink } from "../ledger/sink.ts";
import { readCheckpointsAfter, readSealedRowsUpTo } from "../postgres/checkpoints.ts";
import { type Cursor, LEDGER_START, readWholeLedger } from "../postgres/ledger.ts";
import type { Logger } from "../telemetry/log.ts";
import { type Finding, Standing } from "./standing.ts";

const INTERVAL_MS = 5000;

/** Damaged windows that are looked at again in each look; where there are more, the whole ledger is to be verified. */
const DAMAGED_LIMIT = 10;

/** Where the publisher sends to, and how far it is. */
interface Position {
  sink: EventSink;
  cursor: Cursor;
}

/**
 * The part of the audit that needs the publisher's session and sink, and is done by it between two rounds: whether
 * the topic has taken at least as many events as were published, and one window of sealed ledger rows hashed again.
 */
export class PublishedAudit {
  private readonly topic: Standing;
  private readonly ledger: Standing;
  private at = Number.NEGATIVE_INFINITY;
  private counting: Promise<void> | undefined;
  private wasShort = false;
  /** The newest window that was hashed again; the walk begins anew after the last. */
  private walked = 0;
  private damaged: number[] = [];
  private readonly checks = { topic: 0, ledger: 0 };

  constructor(
    log: Logger,
    private readonly intervalMs = INTERVAL_MS,
  ) {
    this.topic = new Standing("topic", log);
    this.ledger = new Standing("ledger", log);
  }

  /**
   * Looks, where the last look is long enough ago. Nobody waits for the sink: what it says is in a later answer.
   * @param position undefined while the sink is away.
   * @returns what stands, and how much was looked at since the last answer.
   * @throws when the session is lost.
   */
  async look(session: NodePgDatabase, position: Position | undefined): Promise<PublisherAudit> {
    if (performance.now() - this.at >= this.intervalMs) {
      this.at = performance.now();
      await this.lookAtLedger(session);
      if (position) await this.lookAtTopic(session, position);
    }
    const { topic, ledger } = this.checks;
    Object.assign(this.checks, { topic: 0, ledger: 0 });
    return {
      topic: { drift: this.topic.count, lookedAt: topic },
      ledger: { drift: this.ledger.count, lookedAt: ledger },
    };
  }

  /**
   * A topic's ends never go back, whatever its retention has removed. What was sealed up to the cursor was
   * acknowledged before the ends are read; so there is no moment at which a topic that is whole has taken fewer.
   */
  private async lookAtTopic(session: NodePgDatabase, { sink, cursor }: Position): Promise<void> {
    if (!sink.countEvents || this.counting) return;
    const published = await readSealedRowsUpTo(session, cursor);
    this.counting = sink
      .countEvents()
      .then((count) => {
        this.checks.topic++;
        const what = `${published} ledger rows are published, but the topic has taken ${count} events since it was made`;
        const isShort = count < published;
        // Twice: a broker that has just started may not know all of its topics yet.
        if (!isShort || this.wasShort) this.topic.replace(isShort ? [{ place: sink.name, what }] : []);
        this.wasShort = isShort;
      })
      // That the sink is away is told by who publishes.
      .catch(() => undefined)
      .finally(() => {
        this.counting = undefined;
      });
  }

  private async lookAtLedger(session: NodePgDatabase): Promise<void> {
    const found: { number: number; what: string }[] = [];
    const next = this.walked + 1;
    for (const number of new Set([next, ...this.damaged])) {
      const state = await this.stateOf(session, number);
      if (number === next) this.walked = state === "unsealed" ? 0 : next;
      if (state !== "whole" && state !== "unsealed") found.push({ number, what: state.damage });
    }
    this.damaged = found.slice(0, DAMAGED_LIMIT).map(({ number }) => number);
    this.ledger.replace(found.map(({ number, what }): Finding => ({ place: `checkpoint ${number}`, what })));
  }

  /** Of one window of the chain. */
  private async stateOf(
    session: NodePgDatabase,
    number: number,
  ): Promise<"whole" | "unsealed" | { damage: string }> {
    const checkpoints = await readCheckpointsAfter(session, number - 2, 2);
    const sealed = checkpoints.find((each) => each.number === number);
    if (!sealed) {
      const isMissing = checkpoints.some((each) => each.number > number);
      return isMissing ? { damage: `checkpoint ${number} is not there, but later ones are` } : "unsealed";
    }
    const before = checkpoints.find((each) => each.number === number - 1);
    if (!before && number > 1) return { damage: `checkpoint ${number} follows on one that is not there` };
    const rowTexts = await readWholeLedger(session, before ?? LEDGER_START, sealed.rowCount);
    this.checks.ledger += sealed.rowCount;
    if (linkRows(before?.digest ?? CHAIN_START, rowTexts) === sealed.digest) return "whole";
    const { epoch, txid, id, rowCount } = sealed;
    return {
      damage: `of the ${rowCount} ledger rows of checkpoint ${number}, which ends at epoch ${epoch}, transaction ${txid}, id ${id}, one was changed, added or deleted after they were sealed`,
    };
  }
}
