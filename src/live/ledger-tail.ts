import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { comparePositions, type LedgerPosition } from "../postgres/ledger.ts";
import { canBePast, hasMoreThan, readChanges, readPresent } from "../postgres/seat-changes.ts";
import { Loop, type Pause } from "../runtime/loop.ts";
import { RECENT_LIMIT_ROWS, RecentChanges, type Round, roundOf } from "./recent-changes.ts";

/** Rows per read. A read and a send to every client cost the same for one row and for many. */
const PAGE_LIMIT_ROWS = 1000;
/** Shortest pause between rounds, so that each carries many rows under load. */
const GATHER_MS = 20;
/**
 * The pause is also at least this many times the duration of notifying the clients: with thousands of them,
 * the sale has priority.
 */
const GATHER_SHARE = 4;
/** Finds commits that other processes did not announce, when Redis is unavailable. */
const POLL_MS = 1000;
/** First pause before rows that wait for a running transaction are read again; it doubles each time. */
const UNSETTLED_POLL_MS = 50;
/** Pause after a failed read, so that an outage does not cause continuous retries. */
const FAILURE_DELAY_MS = 500;

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

export interface LedgerTailOptions {
  database: NodePgDatabase;
}

export interface TailFollower {
  /** Called with new changes, which are already in `RecentChanges`. */
  publish(round: Round): void;
  /** Called when another epoch has begun; the recent changes have been restarted. */
  startOver(): void;
}

/**
 * Reads what is committed to the ledger while somebody listens, in its order and never past a running
 * transaction. Pokes wake it; a poll finds what nobody announced. While the database is unavailable it keeps
 * trying from its position, so nothing is lost, only late.
 *
 * States: idle → (first listener: the current position is read) → reading, round after round → (last listener
 * leaves) → idle, recent changes forgotten.
 */
export class LedgerTail {
  private listeners = 0;
  private follower: TailFollower | undefined;
  private opening: Promise<RecentChanges> | undefined;
  private recent: RecentChanges | undefined;
  private loop: Loop | undefined;
  private roundDone = Promise.withResolvers<void>();
  private unsettledPollMs = UNSETTLED_POLL_MS;
  /** Runs reads of the past one after the other: what one reads, the next need not. */
  private reaching: Promise<void> = Promise.resolve();
  /** A position known to be too far back; all positions before it are too. */
  private outOfReach: LedgerPosition | undefined;

  constructor(private readonly options: LedgerTailOptions) {}

  /** Calls this follower after each round. */
  follow(follower: TailFollower): void {
    this.follower = follower;
  }

  /**
   * Adds a listener. Each `listen` that resolves needs one `leave`.
   * @throws if the database cannot be asked for the ledger's position
   */
  async listen(): Promise<RecentChanges> {
    this.listeners++;
    this.opening ??= this.open();
    try {
      return await this.opening;
    } catch (error) {
      // All who waited fail together; after the last one has left, the next one tries again.
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

  /** Reports a commit, so that it is read soon. */
  poke(): void {
    this.loop?.poke();
  }

  /** Resolves when the next read of the ledger has succeeded. */
  nextRound(): Promise<void> {
    return this.roundDone.promise;
  }

  /** Returns whether a client can know this position, from this process or from one that reads ahead of it. */
  async canBePast(position: LedgerPosition): Promise<boolean> {
    if (this.recent && comparePositions(position, this.recent.end) <= 0) return true;
    return canBePast(this.options.database, position);
  }

  /**
   * Reads the changes after `position` into memory, unless they are too many or of an older epoch.
   * @throws if the database is unavailable
   */
  reachBack(position: LedgerPosition): Promise<void> {
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
      this.follower?.startOver();
      this.finishRound();
      return { pauseMs: GATHER_MS };
    }
    const startedAt = performance.now();
    if (page.end) {
      const round = roundOf(recent.end, page.end, page);
      recent.append(round);
      this.follower?.publish(round);
    }
    this.finishRound();
    // The sockets are written in this thread's next turn, which is part of the duration.
    await nextTurn();
    const publishMs = performance.now() - startedAt;
    const restMs = Math.min(POLL_MS, Math.max(GATHER_MS, GATHER_SHARE * publishMs));
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

  private async readBack(position: LedgerPosition): Promise<void> {
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
    // If memory dropped its oldest rows meanwhile, these rows no longer join them: the position is too far
    // back after all.
    if (comparePositions(recent.start, upTo) === 0) recent.prepend(position, rounds);
  }
}
