import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { CHAIN_START, linkRows } from "../../ledger/chain.ts";
import type { SinkCursor } from "../../ledger/operator-orders.ts";
import type { EventSink } from "../../ledger/sinks/sink.ts";
import {
  readChainHead,
  readSealedSeatRowsUpTo,
  readWindowsAfter,
  type SealedWindow,
} from "../../postgres/checkpoints.ts";
import { faultOf } from "../../postgres/faults.ts";
import { FaultLog, type Logger } from "../../telemetry/log.ts";
import type { PublisherAudit } from "../../threads/messages.ts";
import { RowStream } from "../verify/row-stream.ts";
import { type Drift, OpenFindings } from "./open-findings.ts";

const INTERVAL_MS = 5000;

/**
 * Windows are taken until they have this many rows. The publisher waits meanwhile: 3 to 5 ms for two windows
 * of 500 rows, 6 to 10 ms for a thousand windows of one row. A ledger of a million rows takes 83 minutes.
 */
const ROWS_AIM = 1000;
/** Maximum windows of one look, which `ROWS_AIM` windows of one row reach. */
const WINDOWS_LIMIT = 1000;

/** Damaged windows that are checked again in each look. If there are more, the whole ledger needs `verify`. */
const DAMAGED_LIMIT = 10;

/**
 * The part of the audit that needs the publisher's session and sink; the publisher runs it between two
 * rounds. It checks that the topic has at least as many events as were published, and hashes some windows of
 * sealed ledger rows again. The walk through the ledger starts at random and wraps around, so that the end of
 * a long ledger is checked even if no process leads long enough for all of it.
 */
export class PublishedAudit {
  private readonly topic: OpenFindings;
  private readonly ledger: OpenFindings;
  private at = Number.NEGATIVE_INFINITY;
  private sink: EventSink | undefined;
  private counting: Promise<void> | undefined;
  private wasShort = false;
  /** The last window that was hashed again, 0 before the first; undefined if the walk starts at random. */
  private walked: number | undefined;
  private damaged: number[] = [];
  private readonly faults: { topic: FaultLog; ledger: FaultLog };
  private readonly checks = { topic: 0, ledger: 0 };

  constructor(
    log: Logger,
    private readonly intervalMs = INTERVAL_MS,
    private readonly random: () => number = Math.random,
    private readonly published: "topic" | "file" = "topic",
  ) {
    this.topic = new OpenFindings(published, log);
    this.ledger = new OpenFindings("ledger", log);
    this.faults = {
      topic: new FaultLog(log, "the audit cannot read how much is published; it goes on trying"),
      ledger: new FaultLog(log, "the audit cannot read the sealed ledger; it goes on trying"),
    };
  }

  /**
   * Checks, if the last look is long enough ago. Nobody waits for the sink; its answer is part of a later
   * result.
   * @param position undefined while the sink is unavailable
   * @returns the open findings, and how much was checked since the last result
   * @throws if the session is lost, but not if a statement was only refused or cancelled for taking too long
   */
  async look(session: NodePgDatabase, position: SinkCursor | undefined): Promise<PublisherAudit> {
    // A file that was just opened may be another one than before.
    const isNew = position?.sink.countsExactly === true && position.sink !== this.sink;
    if (isNew || performance.now() - this.at >= this.intervalMs) {
      this.at = performance.now();
      this.sink = position?.sink;
      await this.unlessLost("ledger", this.lookAtLedger(session));
      if (position) await this.unlessLost("topic", this.lookAtTopic(session, position));
    }
    const { topic, ledger } = this.checks;
    Object.assign(this.checks, { topic: 0, ledger: 0 });
    return {
      topic: { drift: this.topic.count, lookedAt: topic },
      ledger: { drift: this.ledger.count, lookedAt: ledger },
    };
  }

  /** Lets a slow database cost this look, not the right to publish. */
  private async unlessLost(part: "topic" | "ledger", look: Promise<void>): Promise<void> {
    try {
      await look;
      this.faults[part].over();
    } catch (error) {
      if (faultOf(error) === "doubtful") throw error;
      this.faults[part].met(error);
    }
  }

  /**
   * Compares the topic with the ledger. A topic's end offsets never decrease, whatever its retention removes.
   * Everything sealed up to the cursor was acknowledged before the offsets are read, so a complete topic
   * never has fewer events.
   */
  private async lookAtTopic(session: NodePgDatabase, { sink, cursor }: SinkCursor): Promise<void> {
    if (!sink.countEvents || this.counting) return;
    const published = await readSealedSeatRowsUpTo(session, cursor);
    this.counting = sink
      .countEvents()
      .then((count) => {
        this.checks.topic++;
        const what = `${published} ledger rows are published, but the ${this.published} has ${this.published === "topic" ? `taken ${count} events since it was made` : `only ${count} events`}`;
        const isShort = count < published;
        if (!isShort || this.wasShort || sink.countsExactly)
          this.topic.replace(isShort ? [{ place: sink.name, what }] : []);
        this.wasShort = isShort;
      })
      // The publisher reports an unavailable sink.
      .catch(() => undefined)
      .finally(() => {
        this.counting = undefined;
      });
  }

  private async lookAtLedger(session: NodePgDatabase): Promise<void> {
    const walked = this.walked ?? (await this.anyPlace(session));
    // If this takes too long, the next look is elsewhere instead of at the same windows forever.
    this.walked = undefined;
    const { last, damage } = await this.hashAfter(session, walked, WINDOWS_LIMIT);
    this.walked = last;
    const found = new Map(damage === undefined ? [] : [[last, damage]]);
    for (const number of this.damaged) {
      if (found.has(number)) continue;
      const again = await this.hashAfter(session, number - 1, 1);
      if (again.damage !== undefined) found.set(number, again.damage);
    }
    this.damaged = [...found.keys()].slice(0, DAMAGED_LIMIT);
    this.ledger.replace([...found].map(([number, what]): Drift => ({ place: `checkpoint ${number}`, what })));
  }

  private async anyPlace(session: NodePgDatabase): Promise<number> {
    return Math.floor(this.random() * ((await readChainHead(session))?.number ?? 0));
  }

  /**
   * Hashes the windows after a checkpoint again, up to the first damaged one. The next look continues after
   * it, from that window's own digest.
   * @returns the last window that was checked, which is the damaged one if there is any; 0 if none is left
   */
  private async hashAfter(
    session: NodePgDatabase,
    after: number,
    windowsLimit: number,
  ): Promise<{ last: number; damage?: string }> {
    const checkpoints = await readWindowsAfter(session, after - 1, windowsLimit + 1);
    const before = checkpoints[0]?.number === after ? checkpoints.shift() : undefined;
    if (checkpoints.length === 0) return { last: 0 };
    const last = after + 1;
    const windows = takeWindows(checkpoints.slice(0, windowsLimit), last);
    if (windows.length === 0) return { last, damage: `checkpoint ${last} is not there, but later ones are` };
    if (!before && after > 0) return { last, damage: `checkpoint ${last} follows on one that is not there` };
    const rowCount = windows.reduce((sum, window) => sum + window.rowCount, 0);
    const rows = new RowStream(session, before, rowCount);
    let digest = before?.digest ?? CHAIN_START;
    for (const window of windows) {
      this.checks.ledger += window.rowCount;
      digest = linkRows(digest, await rows.peek(window.rowCount, window.rowForm));
      rows.skip(window.rowCount, window.rowForm);
      if (digest !== window.digest) return { last: window.number, damage: damageOf(window) };
    }
    return { last: after + windows.length };
  }
}

/** Returns consecutive windows from that number on, until they have the rows of one look. */
function takeWindows(checkpoints: SealedWindow[], first: number): SealedWindow[] {
  const windows: SealedWindow[] = [];
  let rowCount = 0;
  for (const each of checkpoints) {
    if (each.number !== first + windows.length || rowCount >= ROWS_AIM) break;
    windows.push(each);
    rowCount += each.rowCount;
  }
  return windows;
}

const damageOf = ({ number, epoch, txid, id, rowCount }: SealedWindow): string =>
  `of the ${rowCount} ledger rows of checkpoint ${number}, which ends at epoch ${epoch}, transaction ${txid}, id ${id}, one was changed, added or deleted after they were sealed`;
