import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { PublisherReport } from "../dispatch/messages.ts";
import {
  type Cursor,
  moveCursor,
  readBacklog,
  readCursor,
  readLedger,
  readNewestCursor,
  tryToLead,
} from "../postgres/ledger.ts";
import { type Logger, messageOf } from "../telemetry/log.ts";
import { type EventSink, toEvent } from "./sink.ts";

/** A round ends after so long even when more is waiting, so that its figures are fresh. */
const ROUND_LIMIT_MS = 500;
const BACKLOG_INTERVAL_MS = 1000;
/** A writing transaction older than this is named in the log, once. */
const HORIZON_WARNING_SECONDS = 10;

export interface RelayOptions {
  openSession(onError: (error: Error) => void): Promise<pg.Client>;
  openSink(): Promise<EventSink>;
  batchLimitRows: number;
  log: Logger;
}

/** The session that publishes, or waits for its turn. */
interface Leadership {
  client: pg.Client;
  session: NodePgDatabase;
  /** Set when the session is lost, and with it the right to publish. */
  lost: { value: boolean };
  leads: boolean;
}

interface Position {
  sink: EventSink;
  cursor: Cursor;
}

/**
 * Carries committed ledger rows to the sink: read after the cursor, send, wait for the acknowledgement,
 * move the cursor. One process of all does it, the one whose session holds the advisory lock; reading and
 * moving happen on that very session, so whoever has lost it can at most repeat what was sent already.
 *
 * States of a process: follower → (advisory lock) → leader without a sink → (sink opened, cursor read) →
 * publishing → (sink fails) → leader without a sink; → (session lost or cursor moved by another) → follower.
 */
export class Relay {
  private leadership: Leadership | undefined;
  private position: Position | undefined;
  private backlogAt = Number.NEGATIVE_INFINITY;
  private backlog = { rows: 0, seconds: 0, horizonSeconds: 0 };
  private sinkFailing = false;
  private warnedOf: string | null = null;

  constructor(private readonly options: RelayOptions) {}

  /** Publishes what is waiting, for at most half a second. Never rejects: what fails is tried in a later round. */
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
      this.leadership = { client, session: drizzle(client), lost, leads: false };
    }
    const { leadership } = this;
    leadership.leads ||= await tryToLead(leadership.session);
    return leadership.leads ? leadership : undefined;
  }

  private async publish(leadership: Leadership, report: PublisherReport): Promise<void> {
    const deadline = performance.now() + ROUND_LIMIT_MS;
    for (;;) {
      const position = await this.open(leadership.session);
      if (!position) {
        report.failureCount++;
        return;
      }
      const rows = await readLedger(leadership.session, position.cursor, this.options.batchLimitRows);
      const last = rows.at(-1);
      if (!last) return;
      const startedAt = performance.now();
      try {
        await position.sink.publish(rows.map(toEvent));
      } catch (error) {
        report.failureCount++;
        await this.fail(error);
        return;
      }
      report.publishSeconds.push((performance.now() - startedAt) / 1000);
      report.publishedCount += rows.length;
      const cursor = { epoch: last.epoch, txid: last.txid, id: last.id };
      if (!(await moveCursor(leadership.session, position.sink.name, position.cursor, cursor))) {
        this.options.log.warn("another process has moved the cursor: this one publishes no more");
        await this.resign();
        return;
      }
      position.cursor = cursor;
      report.more = rows.length === this.options.batchLimitRows;
      if (!report.more || performance.now() > deadline) return;
    }
  }

  private async open(session: NodePgDatabase): Promise<Position | undefined> {
    if (this.position) return this.position;
    let sink: EventSink;
    try {
      sink = await this.options.openSink();
    } catch (error) {
      await this.fail(error);
      return undefined;
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
    const sink = this.position?.sink;
    this.position = undefined;
    await sink?.close().catch(() => undefined);
  }

  /** The cursor is read anew with the next session: another process may have moved it meanwhile. */
  private async resign(): Promise<void> {
    const client = this.leadership?.client;
    this.leadership = undefined;
    await this.closeSink();
    await client?.end().catch(() => undefined);
  }
}
