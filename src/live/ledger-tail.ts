import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { Cursor } from "../postgres/ledger.ts";
import { canBePast, hasMoreThan, readChanges, readPresent } from "../postgres/seat-changes.ts";
import { Loop, type Pause } from "../runtime/loop.ts";
import { comparePositions } from "./position.ts";
import { RECENT_LIMIT_ROWS, RecentChanges, type Round, roundOf } from "./recent-changes.ts";

/** A read and a send to every client cost the same for one row and for many. */
const PAGE_LIMIT_ROWS = 1000;
/** Rounds follow each other no closer, so that each carries many rows under load. */
const GATHER_MS = 20;
/** Nor closer than so many times what telling the clients took: with thousands of them the sale goes first. */
const GATHER_SHARE = 4;
/** For what other processes commit without a word, when Redis is away. */
const POLL_MS = 1000;
/** Rows that wait for a running transaction are asked for so soon, then half as often each time. */
const UNSETTLED_POLL_MS = 50;
/** After a read that failed, so that an outage is not asked about without pause. */
const FAILURE_DELAY_MS = 500;

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

export interface LedgerTailOptions {
  database: NodePgDatabase;
  /** New changes; they are in `RecentChanges` already. */
  onRound(round: Round): void;
  /** Another epoch has begun, and recent changes with it. */
  onNewEpoch(): void;
}

/**
 * Reads what is committed to the ledger, in its order and never past a running transaction, as long as
 * somebody listens. Woken by pokes; a poll finds what nobody announced. While the database is away it tries
 * on, from where it was: nothing is lost, only later.
 *
 * States: idle → (first listener: the present position is read) → reading, round after round → (last
 * listener leaves) → idle, recent changes forgotten.
 */
export class LedgerTail {
  private listeners = 0;
  private opening: Promise<RecentChanges> | undefined;
  private recent: RecentChanges | undefined;
  private loop: Loop | undefined;
  private roundDone = Promise.withResolvers<void>();
  private unsettledPollMs = UNSETTLED_POLL_MS;
  /** Reads of the past, one after the other: what one brings back the next need not read. */
  private reaching: Promise<void> = Promise.resolve();
  /** A place known to be too far back; whatever lies before it is as well. */
  private outOfReach: Cursor | undefined;

  constructor(private readonly options: LedgerTailOptions) {}

  /**
   * Somebody listens from now on; each `listen` that resolves has its `leave`.
   * @throws when the database cannot be asked where the ledger is.
   */
  async listen(): Promise<RecentChanges> {
    this.listeners++;
    this.opening ??= this.open();
    try {
      return await this.opening;
    } catch (error) {
      // All who waited fail together, and the last to leave lets the next one try anew.
      this.leave();
      throw error;
    }
  }

  leave(): void {
    this.listeners--;
    if (this.listeners > 0) return;
    this.opening = undefined;
    this.recent = undefined;
    this.outOfReach = undefined;
    void this.loop?.stop();
  }

  /** Something was committed: read soon. */
  poke(): void {
    this.loop?.poke();
  }

  /** Resolves when the next read of the ledger has succeeded. */
  nextRound(): Promise<void> {
    return this.roundDone.promise;
  }

  /** Whether a client can have been told of this place, by this process or by one that reads ahead of it. */
  async canBePast(position: Cursor): Promise<boolean> {
    if (this.recent && comparePositions(position, this.recent.end) <= 0) return true;
    return canBePast(this.options.database, position);
  }

  /**
   * Brings the changes after `position` into memory, unless they are too many or of an older epoch.
   * @throws when the database cannot be asked.
   */
  reachBack(position: Cursor): Promise<void> {
    const reached = this.reaching.then(() => this.readBack(position));
    this.reaching = reached.catch(() => undefined);
    return reached;
  }

  private async open(): Promise<RecentChanges> {
    const recent = new RecentChanges(await readPresent(this.options.database));
    if (this.listeners > 0) {
      this.recent = recent;
      this.loop = new Loop(() => this.round(recent).catch(() => ({ restMs: FAILURE_DELAY_MS })));
    }
    return recent;
  }

  private async round(recent: RecentChanges): Promise<Pause> {
    const page = await readChanges(this.options.database, recent.end, PAGE_LIMIT_ROWS);
    if (this.recent !== recent) return {};
    if (page.epoch > recent.end.epoch) {
      recent.restart({ epoch: page.epoch, txid: "0", id: "0" });
      this.outOfReach = undefined;
      this.options.onNewEpoch();
      this.finishRound();
      return { pauseMs: GATHER_MS };
    }
    const startedAt = performance.now();
    if (page.end) {
      const round = roundOf(recent.end, page.end, page);
      recent.append(round);
      this.options.onRound(round);
    }
    this.finishRound();
    // What was handed to the sockets is written when this thread comes round again: that counts too.
    await nextTurn();
    const toldMs = performance.now() - startedAt;
    const restMs = Math.min(POLL_MS, Math.max(GATHER_MS, GATHER_SHARE * toldMs));
    if (page.rowCount === PAGE_LIMIT_ROWS) return { restMs };
    if (page.rowCount > 0 || !page.isMoreComing) this.unsettledPollMs = UNSETTLED_POLL_MS;
    if (!page.isMoreComing) return { restMs, pauseMs: POLL_MS };
    const pauseMs = this.unsettledPollMs;
    this.unsettledPollMs = Math.min(POLL_MS, 2 * pauseMs);
    return { restMs, pauseMs };
  }

  private finishRound(): void {
    this.roundDone.resolve();
    this.roundDone = Promise.withResolvers();
  }

  private async readBack(position: Cursor): Promise<void> {
    const { recent } = this;
    const { database } = this.options;
    if (recent?.next(position) !== "lost" || position.epoch < recent.start.epoch) return;
    if (this.outOfReach && comparePositions(position, this.outOfReach) <= 0) return;
    if (await hasMoreThan(database, position, RECENT_LIMIT_ROWS)) {
      this.outOfReach = position;
      return;
    }
    const upTo = recent.start;
    const rounds: Round[] = [];
    for (let after = position; ; ) {
      const page = await readChanges(database, after, PAGE_LIMIT_ROWS, upTo);
      if (!page.end) break;
      rounds.push(roundOf(after, page.end, page));
      after = page.end;
    }
    // Where memory had to let go of its oldest rows meanwhile, these do not join them: too far back after all.
    if (comparePositions(recent.start, upTo) === 0) recent.prepend(position, rounds);
  }
}
