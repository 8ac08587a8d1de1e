import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { Session } from "../postgres/connect.ts";
import { isAct, moveCursor, positionOf, readCursor, readLedger, tryToLead } from "../postgres/ledger.ts";
import { readSinkState, storeSinkState } from "../postgres/sink-orders.ts";
import { awaitStandbys } from "../postgres/standbys.ts";
import { type Logger, messageOf } from "../telemetry/log.ts";
import type { PublisherAudit, PublisherReport } from "../threads/messages.ts";
import { BacklogWatch } from "./backlog-watch.ts";
import { OperatorOrders, type SinkCursor } from "./operator-orders.ts";
import { Sealer, type Sealing } from "./sealer.ts";
import { type EventSink, type Partitions, publishRows } from "./sinks/sink.ts";
import { SinkState } from "./sinks/sink-state.ts";

/** Ends a round even if more is waiting or the sink hangs, so that its metrics are current. */
const ROUND_LIMIT_MS = 500;

const NOTHING_DONE = {
  ...{ active: false, publishedCount: 0, failureCount: 0, more: false },
  ...{ backlogRows: 0, backlogSeconds: 0, horizonSeconds: 0 },
};

export interface RelayOptions {
  openSession(onError: (error: Error) => void): Promise<Session>;
  openSink(): Promise<EventSink>;
  batchLimitRows: number;
  log: Logger;
  /** The leader's checks besides publishing. The auditor decides when they are due. */
  audit?: { look(session: NodePgDatabase, position: SinkCursor | undefined): Promise<PublisherAudit> };
}

/** The session that publishes or waits for the leadership. */
interface Leadership {
  session: Session;
  /** Set when the session, and with it the right to publish, is lost. */
  lost: { value: boolean };
  leads: boolean;
  sealer: Sealer;
}

interface OpenSink extends SinkCursor {
  /** Sent and not yet acknowledged. It survives several rounds if the sink hangs. */
  sending?: Sending | undefined;
}

interface Sending {
  rowTexts: string[];
  /** The rows to publish. Acts of administrators are sealed but not published. */
  seatRows: string[];
  startedAt: number;
  outcome: Promise<{ acknowledgedCount: number } | { error: unknown }>;
}

/**
 * Carries committed ledger rows to the sink: read after the cursor, seal, send, wait for the acknowledgement,
 * move the cursor. Only the process whose session holds the advisory lock does this. It reads and moves the
 * cursor on that same session, so a process that has lost the lock can at most repeat what was already sent.
 *
 * States: follower → (gets the lock) → leader without a sink → (sink opened, cursor read) → publishing →
 * (sink fails) → leader without a sink; any state → (session lost, or cursor moved by another) → follower.
 */
export class Relay {
  private leadership: Leadership | undefined;
  private position: OpenSink | undefined;
  private lastPartitions: Partitions | undefined;
  /** In progress. It survives several rounds if the sink hangs. */
  private opening: Promise<EventSink | { error: unknown }> | undefined;
  private readonly backlog: BacklogWatch;
  private readonly sinkState: SinkState;
  private readonly orders: OperatorOrders;

  constructor(private readonly options: RelayOptions) {
    this.sinkState = new SinkState(options.log);
    this.orders = new OperatorOrders(options.log);
    this.backlog = new BacklogWatch(options.log);
  }

  /**
   * Publishes for at most half a second. Never rejects: a later round retries what failed, and the next round
   * waits for what the sink has not acknowledged yet.
   */
  async round(): Promise<PublisherReport> {
    const report: PublisherReport = { ...NOTHING_DONE, publishSeconds: [], ...this.sinkState.report() };
    try {
      const leadership = await this.lead();
      if (!leadership) return { ...report, ...(await this.followersView()) };
      report.active = true;
      await this.publish(leadership, report);
      await this.backlog.measure(leadership.session, this.position?.cursor);
      const { audit } = this.options;
      if (audit) report.audit = await audit.look(leadership.session, this.position);
      if (this.position?.sink.countsExactly && report.audit)
        this.sinkState.isShort = report.audit.topic.drift > 0;
      await this.sinkState.share((isUp) => storeSinkState(leadership.session, isUp));
    } catch (error) {
      this.options.log.debug({ error: messageOf(error) }, "the publisher lost its database session");
      report.failureCount++;
      await this.resign();
    }
    const { count, used } = this.lastPartitions ?? {};
    const partitions = count !== undefined && used !== undefined && { partitions: { count, used } };
    return { ...report, ...partitions, ...this.sinkState.report(), ...this.backlog.report() };
  }

  async close(): Promise<void> {
    await this.closeSink();
    await this.resign();
  }

  /** Returns the leadership if this process has it. A follower keeps its session and tries again in every round. */
  private async lead(): Promise<Leadership | undefined> {
    if (!this.leadership || this.leadership.lost.value) {
      await this.resign();
      const lost = { value: false };
      const session = await this.options.openSession(() => {
        lost.value = true;
      });
      const sealer = new Sealer(session, this.options.batchLimitRows);
      this.leadership = { session, lost, leads: false, sealer };
    }
    const { leadership } = this;
    leadership.leads ||= await tryToLead(leadership.session);
    return leadership.leads ? leadership : undefined;
  }

  private async publish(leadership: Leadership, report: PublisherReport): Promise<void> {
    const deadline = performance.now() + ROUND_LIMIT_MS;
    for (;;) {
      const position = await this.open(leadership.session, deadline);
      if (position === "failed") report.failureCount++;
      if (position === "late") report.more = true;
      if (typeof position === "string") return this.sealMeanwhile(leadership, deadline);
      const orders = position.sending ? "none" : await this.orders.carryOut(leadership.session, position);
      if (orders === "overtaken") return this.yieldTo("moved the cursor");
      if (orders === "held") return this.sealMeanwhile(leadership, deadline);
      position.sending ??= await this.send(leadership, position, report);
      const { sending } = position;
      if (!sending) return;
      const outcome = await Promise.race([sending.outcome, until(deadline)]);
      if (outcome === "late") {
        report.more = true;
        return this.sealMeanwhile(leadership, deadline);
      }
      position.sending = undefined;
      if ("error" in outcome) {
        report.failureCount++;
        await this.fail(outcome.error);
        return;
      }
      this.sinkState.works();
      report.publishSeconds.push((performance.now() - sending.startedAt) / 1000);
      if (!(await this.acknowledged(leadership, position, outcome.acknowledgedCount, sending, report)))
        return this.yieldTo("moved the cursor");
      if (!report.more || performance.now() > deadline) return;
    }
  }

  /** @returns false if another session has moved the cursor */
  private async acknowledged(
    { session }: Leadership,
    position: OpenSink,
    count: number,
    { rowTexts, seatRows }: Sending,
    report: PublisherReport,
  ): Promise<boolean> {
    const last = count === seatRows.length ? rowTexts.at(-1) : seatRows[count - 1];
    if (last === undefined) throw new Error(`the sink acknowledged ${count} of ${seatRows.length} events`);
    report.publishedCount += count;
    report.more ||= count < seatRows.length || rowTexts.length === this.options.batchLimitRows;
    const cursor = positionOf(last);
    if (!(await moveCursor(session, position.sink.name, position.cursor, cursor))) return false;
    position.cursor = cursor;
    return true;
  }

  /** @returns undefined if nothing is waiting, or if this process may no longer send */
  private async send(
    { session, lost, sealer }: Leadership,
    { sink, cursor }: OpenSink,
    report: PublisherReport,
  ): Promise<Sending | undefined> {
    const rowTexts = await readLedger(session, cursor, this.options.batchLimitRows);
    const sealing = await sealer.seal(cursor, rowTexts);
    if (sealing === "overtaken") {
      await this.yieldTo("sealed rows");
      return undefined;
    }
    // An older version may have published rows without sealing them; the chain catches up a window at a time.
    report.more = sealing === "behind";
    if (rowTexts.length === 0) {
      this.sinkState.works();
      return undefined;
    }
    if (!(await this.isOnStandbys(session, lost))) {
      report.failureCount++;
      return undefined;
    }
    const seatRows = rowTexts.filter((text) => !isAct(text));
    return {
      rowTexts,
      seatRows,
      startedAt: performance.now(),
      outcome: publishRows(sink, seatRows),
    };
  }

  /**
   * Waits until a standby has the rows. Without this, events of sales were seen that the promoted standby did
   * not know. An unavailable standby costs neither the leadership nor the sink.
   */
  private async isOnStandbys(session: Session, lost: Leadership["lost"]): Promise<boolean> {
    try {
      await awaitStandbys(session.$client);
      return true;
    } catch (error) {
      if (lost.value) throw error;
      this.options.log.debug({ error: messageOf(error) }, "publishing waits for a standby");
      return false;
    }
  }

  /** Extends the chain while the sink is unavailable or hangs. */
  private async sealMeanwhile({ sealer }: Leadership, deadline: number): Promise<void> {
    let sealing: Sealing;
    do sealing = await sealer.goOn();
    while (sealing === "behind" && performance.now() < deadline);
    if (sealing === "overtaken") await this.yieldTo("sealed rows");
  }

  private async yieldTo(deed: string): Promise<void> {
    this.options.log.warn(`another process ${deed}: this one stops publishing`);
    await this.resign();
  }

  private async open(session: NodePgDatabase, deadline: number): Promise<OpenSink | "late" | "failed"> {
    if (this.position) return this.position;
    this.opening ??= this.options.openSink().catch((error: unknown) => ({ error }));
    const sink = await Promise.race([this.opening, until(deadline)]);
    if (sink === "late") return sink;
    this.opening = undefined;
    if ("error" in sink) {
      await this.fail(sink.error);
      return "failed";
    }
    try {
      const cursor = await readCursor(session, sink.name);
      await this.orders.opened(session, sink);
      this.position = { sink, cursor };
      this.lastPartitions = sink.partitions;
    } catch (error) {
      await sink.close().catch(() => undefined);
      throw error;
    }
    return this.position;
  }

  private async fail(error: unknown): Promise<void> {
    this.sinkState.fails(error);
    await this.closeSink();
  }

  private async followersView(): Promise<Partial<PublisherReport>> {
    const session = this.leadership?.session;
    const isUp = session && (await readSinkState(session));
    return isUp === undefined ? { sinkIsKnown: false } : { sinkIsKnown: true, sinkUp: isUp };
  }

  private async closeSink(): Promise<void> {
    const { position, opening } = this;
    this.position = undefined;
    this.opening = undefined;
    // The sink may still open later, and nobody waits for it.
    void opening?.then((sink) => ("error" in sink ? undefined : sink.close())).catch(() => undefined);
    await position?.sink.close().catch(() => undefined);
  }

  /** Gives up the leadership. The next session reads the cursor again, as another process may have moved it. */
  private async resign(): Promise<void> {
    const client = this.leadership?.session.$client;
    this.leadership = undefined;
    await this.closeSink();
    await client?.end().catch(() => undefined);
  }
}

function until(deadline: number): Promise<"late"> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, deadline - performance.now()), "late"));
}
