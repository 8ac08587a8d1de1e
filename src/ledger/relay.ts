import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { PublisherAudit, PublisherReport } from "../dispatch/messages.ts";
import {
  type Cursor,
  isAct,
  moveCursor,
  placeOf,
  readBacklog,
  readCursor,
  readLedger,
  readNewestCursor,
  tryToLead,
} from "../postgres/ledger.ts";
import { awaitStandbys } from "../postgres/standbys.ts";
import { type Logger, messageOf } from "../telemetry/log.ts";
import { Sealer, type Sealing } from "./sealer.ts";
import { type EventSink, publishRows } from "./sink.ts";

/** A round ends after so long even when more is waiting, or the sink hangs, so that its figures are fresh. */
const ROUND_LIMIT_MS = 500;
const BACKLOG_INTERVAL_MS = 1000;
/** A writing transaction older than this is named in the log, once. */
const HORIZON_WARNING_SECONDS = 10;

export interface RelayOptions {
  openSession(onError: (error: Error) => void): Promise<pg.Client>;
  openSink(): Promise<EventSink>;
  batchLimitRows: number;
  log: Logger;
  /** What the leader looks at beside publishing; it keeps time itself. */
  audit?: { look(session: NodePgDatabase, position: Position | undefined): Promise<PublisherAudit> };
}

/** The session that publishes, or waits for its turn. */
interface Leadership {
  client: pg.Client;
  session: NodePgDatabase;
  /** Set when the session is lost, and with it the right to publish. */
  lost: { value: boolean };
  leads: boolean;
  sealer: Sealer;
}

interface Position {
  sink: EventSink;
  cursor: Cursor;
  /** Sent and not acknowledged yet; a sink that hangs keeps it over several rounds. */
  sending?: Sending | undefined;
}

interface Sending {
  rowCount: number;
  /** Acts of administrators are sealed, and not published. */
  eventCount: number;
  /** Where the cursor stands when it is acknowledged. */
  cursor: Cursor;
  startedAt: number;
  outcome: Promise<"acknowledged" | { error: unknown }>;
}

/**
 * Carries committed ledger rows to the sink: read after the cursor, seal, send, wait for the acknowledgement,
 * move the cursor. One process of all does it, the one whose session holds the advisory lock; reading and
 * moving happen on that very session, so whoever has lost it can at most repeat what was sent already.
 *
 * States of a process: follower → (advisory lock) → leader without a sink → (sink opened, cursor read) →
 * publishing → (sink fails) → leader without a sink; → (session lost or cursor moved by another) → follower.
 */
export class Relay {
  private leadership: Leadership | undefined;
  private position: Position | undefined;
  /** Under way; a sink that hangs is waited for over several rounds. */
  private opening: Promise<EventSink | { error: unknown }> | undefined;
  private backlogAt = Number.NEGATIVE_INFINITY;
  private backlog = { rows: 0, seconds: 0, horizonSeconds: 0 };
  private sinkFailing = false;
  private warnedOf: string | null = null;

  constructor(private readonly options: RelayOptions) {}

  /**
   * Publishes what is waiting, for at most half a second. Never rejects: what fails is tried in a later round,
   * and what the sink has not acknowledged by then is waited for in the next.
   */
  async round(): Promise<PublisherReport> {
    const report: PublisherReport = {
      active: false,
      publishedCount: 0,
      publishSeconds: [],
      failureCount: 0,
      more: false,
      sinkUp: !this.sinkFailing,
      ...{ backlogRows: 0, backlogSeconds: 0, horizonSeconds: 0 },
    };
    try {
      const leadership = await this.lead();
      if (!leadership) return report;
      report.active = true;
      await this.publish(leadership, report);
      await this.measure(leadership);
      const { audit } = this.options;
      if (audit) report.audit = await audit.look(leadership.session, this.position);
    } catch (error) {
      this.options.log.debug({ error: messageOf(error) }, "the publisher lost its database session");
      report.failureCount++;
      await this.resign();
    }
    report.sinkUp = !this.sinkFailing;
    report.backlogRows = this.backlog.rows;
    report.backlogSeconds = this.backlog.seconds;
    report.horizonSeconds = this.backlog.horizonSeconds;
    return report;
  }

  async close(): Promise<void> {
    await this.closeSink();
    await this.resign();
  }

  /** A follower keeps its session, and asks it for the leader's place at every round. */
  private async lead(): Promise<Leadership | undefined> {
    if (!this.leadership || this.leadership.lost.value) {
      await this.resign();
      const lost = { value: false };
      const client = await this.options.openSession(() => {
        lost.value = true;
      });
      const session = drizzle(client);
      const sealer = new Sealer(session, this.options.batchLimitRows);
      this.leadership = { client, session, lost, leads: false, sealer };
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
      position.sending ??= await this.send(leadership, position, report);
      const { sending } = position;
      if (!sending) return;
      const outcome = await Promise.race([sending.outcome, until(deadline)]);
      if (outcome === "late") {
        report.more = true;
        return this.sealMeanwhile(leadership, deadline);
      }
      position.sending = undefined;
      if (outcome !== "acknowledged") {
        report.failureCount++;
        await this.fail(outcome.error);
        return;
      }
      report.publishSeconds.push((performance.now() - sending.startedAt) / 1000);
      report.publishedCount += sending.eventCount;
      if (!(await moveCursor(leadership.session, position.sink.name, position.cursor, sending.cursor))) {
        return this.yieldTo("moved the cursor");
      }
      position.cursor = sending.cursor;
      report.more ||= sending.rowCount === this.options.batchLimitRows;
      if (!report.more || performance.now() > deadline) return;
    }
  }

  /** @returns undefined when nothing waits, or when this process may send no more. */
  private async send(
    { client, session, lost, sealer }: Leadership,
    { sink, cursor }: Position,
    report: PublisherReport,
  ): Promise<Sending | undefined> {
    const rowTexts = await readLedger(session, cursor, this.options.batchLimitRows);
    const sealing = await sealer.seal(cursor, rowTexts);
    if (sealing === "overtaken") {
      await this.yieldTo("sealed rows");
      return undefined;
    }
    // What an older version has published unsealed is caught up with, a window at a time.
    report.more = sealing === "behind";
    const last = rowTexts.at(-1);
    if (last === undefined) return undefined;
    if (!(await this.isOnStandbys(client, lost))) {
      report.failureCount++;
      return undefined;
    }
    const seatRows = rowTexts.filter((text) => !isAct(text));
    return {
      rowCount: rowTexts.length,
      eventCount: seatRows.length,
      cursor: placeOf(last),
      startedAt: performance.now(),
      outcome: publishRows(sink, seatRows),
    };
  }

  /**
   * Seen without it: events of sales that the promoted standby knew nothing of. A standby that is away costs
   * neither the leader's place nor the sink.
   */
  private async isOnStandbys(client: pg.Client, lost: Leadership["lost"]): Promise<boolean> {
    try {
      await awaitStandbys(client);
      return true;
    } catch (error) {
      if (lost.value) throw error;
      this.options.log.debug({ error: messageOf(error) }, "the ledger waits for a standby");
      return false;
    }
  }

  /** While the sink is away, or hangs, the chain goes on. */
  private async sealMeanwhile({ sealer }: Leadership, deadline: number): Promise<void> {
    let sealing: Sealing;
    do sealing = await sealer.goOn();
    while (sealing === "behind" && performance.now() < deadline);
    if (sealing === "overtaken") await this.yieldTo("sealed rows");
  }

  private async yieldTo(deed: string): Promise<void> {
    this.options.log.warn(`another process has ${deed}: this one publishes no more`);
    await this.resign();
  }

  private async open(session: NodePgDatabase, deadline: number): Promise<Position | "late" | "failed"> {
    if (this.position) return this.position;
    this.opening ??= this.options.openSink().catch((error: unknown) => ({ error }));
    const sink = await Promise.race([this.opening, until(deadline)]);
    if (sink === "late") return sink;
    this.opening = undefined;
    if ("error" in sink) {
      await this.fail(sink.error);
      return "failed";
    }
    if (this.sinkFailing) this.options.log.info("the event sink is back");
    this.sinkFailing = false;
    try {
      this.position = { sink, cursor: await readCursor(session, sink.name) };
    } catch (error) {
      await sink.close().catch(() => undefined);
      throw error;
    }
    return this.position;
  }

  private async fail(error: unknown): Promise<void> {
    if (!this.sinkFailing) {
      this.options.log.warn(
        { error: messageOf(error) },
        "the event sink is away: the ledger waits, nothing is lost",
      );
    }
    this.sinkFailing = true;
    await this.closeSink();
  }

  /** Also while the sink is away, from where it was last known to be. */
  private async measure({ session }: Leadership): Promise<void> {
    const now = performance.now();
    if (now - this.backlogAt < BACKLOG_INTERVAL_MS) return;
    this.backlogAt = now;
    const backlog = await readBacklog(session, this.position?.cursor ?? (await readNewestCursor(session)));
    this.backlog = backlog;
    const culprit = backlog.horizonSeconds > HORIZON_WARNING_SECONDS ? backlog.culprit : null;
    if (culprit && culprit !== this.warnedOf) {
      this.options.log.warn(
        { culprit, seconds: backlog.horizonSeconds },
        "a long writing transaction holds publishing back",
      );
    }
    this.warnedOf = culprit;
  }

  private async closeSink(): Promise<void> {
    const { position, opening } = this;
    this.position = undefined;
    this.opening = undefined;
    // Whenever it opens: nobody waits for it any more.
    void opening?.then((sink) => ("error" in sink ? undefined : sink.close())).catch(() => undefined);
    await position?.sink.close().catch(() => undefined);
  }

  /** The cursor is read anew with the next session: another process may have moved it meanwhile. */
  private async resign(): Promise<void> {
    const client = this.leadership?.client;
    this.leadership = undefined;
    await this.closeSink();
    await client?.end().catch(() => undefined);
  }
}

function until(deadline: number): Promise<"late"> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, deadline - performance.now()), "late"));
}
