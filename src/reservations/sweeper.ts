import { type ChangeRow, commitChanges } from "../postgres/change.ts";
import { openSession, type Session } from "../postgres/connect.ts";
import {
  type OverdueHolds,
  readDueHolds,
  readFreed,
  readOverdueHolds,
  removeOldKeys,
} from "../postgres/due.ts";
import { ADVISORY_LOCKS } from "../postgres/epoch.ts";
import { faultOf } from "../postgres/faults.ts";
import { tryToLead } from "../postgres/ledger.ts";
import { FaultLog, type Logger } from "../telemetry/log.ts";

/**
 * Maximum number of seats in a round. A round takes about 800 ms, within the statement's time limit; 10,000 holds that
 * end in one instant take 4 s (seen).
 */
const ROUND_LIMIT_SEATS = 2000;
/** How long a hold is left out after the statement failed for it, and how many holds are left out at most. */
const SPOILT_RETRY_MS = 10_000;
const SPOILT_LIMIT = 1000;
/** How often overdue holds are counted, and the number at which counting stops. */
const OVERDUE_INTERVAL_MS = 5000;
const OVERDUE_LIMIT = 10_000;
const KEYS_INTERVAL_MS = 60_000;
const KEYS_LIMIT_ROWS = 10_000;

export interface SweeperOptions {
  databaseUrl: string;
  statementTimeoutMs: number;
  connectTimeoutMs: number;
  log: Logger;
}

/** The result of one round of the sweeper. */
export interface SweeperReport {
  /** Whether this process is the one that sweeps. */
  active: boolean;
  /** Seats that are free again, with their new versions. */
  freed: [seatId: number, version: number][];
  /** Whether more is due, so that the next round should begin at once. */
  more: boolean;
  /** Present if they were counted in this round. Every process counts them, even if it does not sweep. */
  overdue?: OverdueHolds;
}

const NOTHING: SweeperReport = { active: false, freed: [], more: false };

/** The session that sweeps, or waits for its turn. */
interface Turn {
  session: Session;
  isLost: boolean;
  leads: boolean;
}

/**
 * Ends holds that are over. Only one process sweeps: the one whose session has the advisory lock. Correctness does not
 * depend on the sweeper: a request for a seat whose hold is over takes the seat without it. The sweeper needs no thread
 * of its own. A thread took 11 MB, and 2,000 seats are 50 to 80 ms of work for the main thread, in pieces of 10 ms at
 * most.
 *
 * A hold that cannot be ended now (its row or a seat is locked) does not delay the others: the next round continues
 * after it, and the sweeper comes back to it after the end of the list. When the statement itself fails, rounds get
 * smaller until the hold that it fails for is alone. That hold is left out for a while.
 */
export class Sweeper {
  private readonly faults: FaultLog;
  private turn: Turn | undefined;
  /** Holds that were sent to be ended and had no answer. They may have been ended. */
  private unheard: string[] = [];
  private keysAt = Number.NEGATIVE_INFINITY;
  private overdueAt = Number.NEGATIVE_INFINITY;
  /** The last hold of a round in which some were refused. The next round begins after it. */
  private after: string | undefined;
  private limitHolds = ROUND_LIMIT_SEATS;
  /** Holds that the statement fails for. */
  private readonly spoilt = new Set<string>();
  private spoiltAt = 0;

  constructor(private readonly options: SweeperOptions) {
    this.faults = new FaultLog(options.log, "holds that are over cannot be swept");
  }

  /** Sweeps once, at most `ROUND_LIMIT_SEATS`. Never rejects. */
  async round(): Promise<SweeperReport> {
    try {
      const report = await this.sweep();
      this.faults.over();
      // Keys are removed afterwards, so that a failure there cannot lose the report.
      if (this.turn?.leads) {
        await this.removeKeys(this.turn.session).catch((error) => this.faults.met(error));
      }
      return report;
    } catch (error) {
      // The gate already reports that the database does not answer.
      if (this.turn && !this.turn.isLost) this.faults.met(error);
      await this.letGo();
      return NOTHING;
    }
  }

  /** Closes the session, so that another process can sweep. */
  async letGo(): Promise<void> {
    const client = this.turn?.session.$client;
    this.turn = undefined;
    await client?.end().catch(() => undefined);
  }

  private async sweep(): Promise<SweeperReport> {
    const turn = await this.takeTurn();
    const { session } = turn;
    const overdue = await this.countOverdue(session);
    turn.leads ||= await tryToLead(session, ADVISORY_LOCKS.sweeper);
    if (!turn.leads) return { ...NOTHING, ...overdue };
    const freed = this.unheard.length === 0 ? [] : await readFreed(session, this.unheard);
    if (performance.now() - this.spoiltAt >= SPOILT_RETRY_MS) this.spoilt.clear();
    const page = await readDueHolds(session, ROUND_LIMIT_SEATS, this.after);
    const due = page.filter((id) => !this.spoilt.has(id)).slice(0, this.limitHolds);
    this.unheard = [...new Set([...this.unheard, ...due])];
    const rows = due.length === 0 ? [] : await this.expire(session, due);
    this.unheard = [];
    const isSomeLeft =
      rows.some(({ verdict }) => verdict !== "done") || page.some((id) => this.spoilt.has(id));
    if (page.length === 0) this.after = undefined;
    else if (isSomeLeft) this.after = due.at(-1) ?? page.at(-1);
    const swept = rows.flatMap((row) => row.seats);
    const isMoreLikely = due.length < page.length || swept.length >= ROUND_LIMIT_SEATS / 2;
    return {
      active: true,
      freed: [...freed, ...swept],
      more: page.length > 0 && (this.after !== undefined || isMoreLikely),
      ...overdue,
    };
  }

  private async expire(session: Session, due: string[]): Promise<ChangeRow[]> {
    try {
      const rows = await commitChanges(
        session.$client,
        due.map((reservationId) => ({ reservationId, action: "expire", changeId: Bun.randomUUIDv7() })),
      );
      this.limitHolds = Math.min(ROUND_LIMIT_SEATS, 2 * this.limitHolds);
      return rows;
    } catch (error) {
      const [only] = due;
      if (due.length === 1 && only !== undefined && faultOf(error) !== "doubtful") this.leaveOut(only);
      this.limitHolds = Math.max(1, Math.floor(due.length / 2));
      throw error;
    }
  }

  private leaveOut(id: string): void {
    if (this.spoilt.size === 0) this.spoiltAt = performance.now();
    if (this.spoilt.size < SPOILT_LIMIT) this.spoilt.add(id);
  }

  private async countOverdue(session: Session): Promise<Pick<SweeperReport, "overdue">> {
    if (performance.now() - this.overdueAt < OVERDUE_INTERVAL_MS) return {};
    this.overdueAt = performance.now();
    return { overdue: await readOverdueHolds(session, OVERDUE_LIMIT) };
  }

  /** Removes old keys once per interval, or in the next round if one call cannot remove them all. */
  private async removeKeys(session: Session): Promise<void> {
    if (performance.now() - this.keysAt < KEYS_INTERVAL_MS) return;
    this.keysAt = performance.now();
    const removed = await removeOldKeys(session, KEYS_LIMIT_ROWS);
    if (removed === KEYS_LIMIT_ROWS) this.keysAt = Number.NEGATIVE_INFINITY;
  }

  private async takeTurn(): Promise<Turn> {
    if (this.turn && !this.turn.isLost) return this.turn;
    await this.letGo();
    const state = { isLost: false, leads: false };
    const session = await openSession({ ...this.options, name: "sentinel-sweeper" }, () => {
      state.isLost = true;
    });
    this.turn = Object.assign(state, { session });
    return this.turn;
  }
}
