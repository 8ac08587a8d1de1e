import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { commitChanges } from "../postgres/change.ts";
import { openSession } from "../postgres/connect.ts";
import { readDueHolds, readFreed, removeOldKeys } from "../postgres/due.ts";
import { ADVISORY_LOCKS } from "../postgres/epoch.ts";
import { tryToLead } from "../postgres/ledger.ts";
import { FaultLog, type Logger } from "../telemetry/log.ts";

/** Some 800 ms a round, within the statement's time limit; 10,000 holds that end in one instant take 4 s (seen). */
const ROUND_LIMIT_SEATS = 2000;
const KEYS_INTERVAL_MS = 60_000;
const KEYS_LIMIT_ROWS = 10_000;

export interface SweeperOptions {
  databaseUrl: string;
  statementTimeoutMs: number;
  connectTimeoutMs: number;
  log: Logger;
}

/** What one round of the sweeper did. */
export interface SweeperReport {
  /** Whether this process is the one that sweeps. */
  active: boolean;
  /** Seats that are free again, with their new versions. */
  freed: [seatId: number, version: number][];
  /** More is due: the next round should begin at once. */
  more: boolean;
}

const NOTHING: SweeperReport = { active: false, freed: [], more: false };

interface Session {
  client: pg.Client | undefined;
  isLost: boolean;
  leads: boolean;
}

/**
 * Ends holds that are over. One process of all sweeps, the one whose session has the advisory lock. Nobody
 * rests on it: whoever wants a seat whose hold is over takes it without it. It needs no thread of its own: that
 * took 11 MB, and 2,000 seats are 50 to 80 ms of work for the main thread, in pieces of 10 ms at most.
 */
export class Sweeper {
  private readonly faults: FaultLog;
  private session: Session | undefined;
  /** Holds that were sent to be ended, and not heard of again: they may have been. */
  private unheard: string[] = [];
  private keysAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: SweeperOptions) {
    this.faults = new FaultLog(options.log, "holds that are over cannot be swept");
  }

  /** Sweeps once, at most `ROUND_LIMIT_SEATS`; never fails. */
  async round(): Promise<SweeperReport> {
    try {
      const report = await this.sweep();
      this.faults.over();
      // Afterwards: what it may fail of must not take the report with it.
      const { session } = this;
      if (session?.client && session.leads) {
        await this.removeKeys(session.client).catch((error) => this.faults.met(error));
      }
      return report;
    } catch (error) {
      // That the database is away is told once, by its gate.
      if (this.session && !this.session.isLost) this.faults.met(error);
      await this.letGo();
      return NOTHING;
    }
  }

  /** Gives the session back, and with it the sweeping to another process. */
  async letGo(): Promise<void> {
    const client = this.session?.client;
    this.session = undefined;
    await client?.end().catch(() => undefined);
  }

  private async sweep(): Promise<SweeperReport> {
    const client = await this.lead();
    if (!client) return NOTHING;
    const database = drizzle(client);
    const freed = this.unheard.length === 0 ? [] : await readFreed(database, this.unheard);
    const due = await readDueHolds(database, ROUND_LIMIT_SEATS);
    this.unheard = [...new Set([...this.unheard, ...due])];
    const rows =
      due.length === 0
        ? []
        : await commitChanges(client, { reservationIds: due, actions: due.map(() => "expire") });
    this.unheard = [];
    const swept = rows.flatMap((row) => row.seats);
    return { active: true, freed: [...freed, ...swept], more: swept.length >= ROUND_LIMIT_SEATS / 2 };
  }

  /** At once again while there are more than one look removes. */
  private async removeKeys(client: pg.Client): Promise<void> {
    if (performance.now() - this.keysAt < KEYS_INTERVAL_MS) return;
    this.keysAt = performance.now();
    const removed = await removeOldKeys(drizzle(client), KEYS_LIMIT_ROWS);
    if (removed === KEYS_LIMIT_ROWS) this.keysAt = Number.NEGATIVE_INFINITY;
  }

  /** The session, where it is the one that sweeps. */
  private async lead(): Promise<pg.Client | undefined> {
    if (!this.session || this.session.isLost) {
      await this.letGo();
      const opened: Session = { client: undefined, isLost: false, leads: false };
      opened.client = await openSession({ ...this.options, name: "sentinel-sweeper" }, () => {
        opened.isLost = true;
      });
      this.session = opened;
    }
    const { session } = this;
    if (!session.client) return undefined;
    session.leads ||= await tryToLead(drizzle(session.client), ADVISORY_LOCKS.sweeper);
    return session.leads ? session.client : undefined;
  }
}
