import Redlock from "redlock";
import type { TlsFiles } from "../config/secret-files.ts";
import type { LinkState } from "./link.ts";
import { LockMaster } from "./lock-master.ts";

/**
 * A lock older than this was left by a holder that died, because no batch takes this long. Postgres decides
 * instead.
 */
const GHOST_AGE_MS = 500;

export interface SeatLocksOptions {
  /** Independent masters; a lock is held if a majority of them grants it. */
  redisUrls: string[];
  redisTls?: TlsFiles | undefined;
  /** Separates the keys of engines on other databases. */
  keyPrefix: string;
  ttlMs: number;
  timeoutMs: number;
  /** Called when locking stops because Redis is unavailable, and when it resumes. */
  onDegraded(degraded: boolean): void;
}

/** The state of the locks, for operators. */
export interface LocksReport {
  /** Unknown at the start, until enough masters were tried; up if there is no Redis. */
  state: LinkState;
  /** In the order of REDIS_URL; a master that is down has a `reason`. */
  masters: { state: LinkState; reason: string | undefined }[];
}

/** The result of locking a batch. Postgres alone decides the seats that are neither contended nor locked. */
export interface BatchLocks {
  /** Seats that a living rival is deciding now. */
  contended: Set<number>;
  isLocked: boolean;
  /** The number of locks that were too old to trust. */
  ghostCount: number;
  /** Frees the locks. Never rejects; locks that could not be freed expire. */
  release(): Promise<void>;
}

const nothing = async () => undefined;

/**
 * Locks the seats of a batch in Redis, all in one script per master. Locks save Postgres the races that are
 * lost anyway. They never decide: if a lock is in doubt, the batch continues without it.
 *
 * States: in use → (fewer than a majority of masters in use) → degraded → (a majority in use) → in use. At
 * the start it is degraded until a majority was reached. Locking costs a batch nothing while degraded.
 */
export class SeatLocks {
  private readonly masters: LockMaster[];
  private readonly quorum: number;
  private isDegraded: boolean;
  private onMasterChange: (() => void) | undefined;

  constructor(private readonly options: SeatLocksOptions) {
    this.masters = options.redisUrls.map(
      (url) =>
        new LockMaster({ url, tls: options.redisTls }, options.timeoutMs, options.keyPrefix, () => {
          this.countMasters();
          this.onMasterChange?.();
        }),
    );
    this.quorum = Math.floor(this.masters.length / 2) + 1;
    this.isDegraded = this.masters.length > 0;
    if (this.isDegraded) options.onDegraded(true);
  }

  /** Calls the listener after each change of a master's state. */
  onMaster(listener: () => void): void {
    this.onMasterChange = listener;
  }

  get degraded(): boolean {
    return this.isDegraded;
  }

  report(): LocksReport {
    const masters = this.masters.map(({ state, reason }) => ({ state, reason }));
    const countOf = (...states: LinkState[]) => masters.filter(({ state }) => states.includes(state)).length;
    if (masters.length === 0 || countOf("up") >= this.quorum) return { state: "up", masters };
    return { state: countOf("up", "unknown") >= this.quorum ? "unknown" : "down", masters };
  }

  /**
   * Locks the seats once. On contention it reads the keys, drops the seats that a living rival holds, and
   * tries to lock the rest once more. Postgres decides the seats still in doubt, without a lock.
   */
  async lockBatch(seatIds: number[]): Promise<BatchLocks> {
    const locked: BatchLocks = { contended: new Set(), isLocked: false, ghostCount: 0, release: nothing };
    if (this.masters.length === 0 || this.degraded) return locked;

    const first = await this.lock(seatIds);
    if (first === "away") return locked;
    if (first !== "contended") return { ...locked, isLocked: true, release: first };

    locked.ghostCount = await this.lookForRivals(seatIds, locked.contended);
    const rest = seatIds.filter((seatId) => !locked.contended.has(seatId));
    if (rest.length === 0) return locked;
    const second = await this.lock(rest);
    if (typeof second === "function") return { ...locked, isLocked: true, release: second };
    return locked;
  }

  close(): void {
    for (const master of this.masters) master.close();
  }

  /**
   * Uses a Redlock instance per call. Redlock 4 throws the same error for contention and for an outage; only
   * the clients can tell them apart, and these clients belong to this call alone.
   */
  private async lock(seatIds: number[]): Promise<"away" | "contended" | (() => Promise<void>)> {
    const away = new Set<LockMaster>();
    const clients = this.masters.map((master) => master.clientOfOneLock(() => away.add(master)));
    const redlock = new Redlock(clients, { retryCount: 0 });
    try {
      const lock = await redlock.lock(
        seatIds.map((seatId) => this.keyOf(seatId)),
        this.options.ttlMs,
      );
      return async () => {
        await lock.unlock().catch(() => undefined);
      };
    } catch {
      return this.masters.length - away.size >= this.quorum ? "contended" : "away";
    }
  }

  /**
   * Adds to `contended` the seats whose lock one rival holds on a majority, if it is young enough to be
   * alive.
   * @returns the number of locks that were too old to trust
   */
  private async lookForRivals(seatIds: number[], contended: Set<number>): Promise<number> {
    const keys = seatIds.map((seatId) => this.keyOf(seatId));
    const votes = await Promise.all(this.masters.map((master) => master.readLocks(keys)));
    let ghostCount = 0;
    for (const [position, seatId] of seatIds.entries()) {
      const held = new Map<string, { masters: number; alive: boolean }>();
      for (const vote of votes) {
        const lock = vote[position];
        if (!lock?.holder) continue;
        const known = held.get(lock.holder) ?? { masters: 0, alive: false };
        const ageMs = this.options.ttlMs - lock.restMs;
        const alive = ageMs >= 0 && ageMs < GHOST_AGE_MS;
        held.set(lock.holder, { masters: known.masters + 1, alive: known.alive || alive });
      }
      for (const { masters, alive } of held.values()) {
        if (masters < this.quorum) continue;
        if (alive) contended.add(seatId);
        else ghostCount++;
      }
    }
    return ghostCount;
  }

  private keyOf(seatId: number): string {
    return `${this.options.keyPrefix}:seat:${seatId}`;
  }

  private countMasters(): void {
    const isDegraded = this.masters.filter((master) => master.isInUse).length < this.quorum;
    if (isDegraded === this.isDegraded) return;
    this.isDegraded = isDegraded;
    this.options.onDegraded(isDegraded);
  }
}
