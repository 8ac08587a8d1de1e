import type { Redis } from "ioredis";
import Redlock from "redlock";
import { connectRedis } from "./connect.ts";

/** A lock older than this is a dead holder's ghost: no batch takes as long, so Postgres is asked instead. */
const GHOST_AGE_MS = 500;

/** How often a Redis that is away is asked whether it is back. */
const PROBE_INTERVAL_MS = 200;

export interface SeatLocksOptions {
  /** Independent masters; a lock is held when a majority of them says so. */
  redisUrls: string[];
  /** Keeps the keys of engines on other databases apart. */
  keyPrefix: string;
  ttlMs: number;
  timeoutMs: number;
  /** Told when locks are given up because Redis is away, and when they are taken up again. */
  onDegraded(degraded: boolean): void;
}

/** What was locked for a batch. Seats neither contended nor guarded are for Postgres alone to decide. */
export interface Guard {
  /** Seats that a living rival is deciding on now. */
  contended: Set<number>;
  guarded: boolean;
  /** Locks that were found too old to be believed. */
  ghostCount: number;
  /** Gives the locks back; never fails, since they also expire. */
  release(): Promise<void>;
}

const nothing = async () => undefined;

/**
 * Redis locks for the seats of a batch, all in one script a master. They spare Postgres the races that
 * are lost anyway; they never decide: whenever a lock is in doubt the batch goes on without it.
 *
 * States: in use → (a majority of masters fails a command) → degraded → (a majority answers a ping) → in
 * use. Degraded costs nothing a batch; the ping is sent every 200 ms.
 */
export class SeatLocks {
  private readonly masters: Redis[];
  private readonly quorum: number;
  private probe: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: SeatLocksOptions) {
    this.masters = options.redisUrls.map((url) => connectRedis(url, options.timeoutMs));
    this.quorum = Math.floor(this.masters.length / 2) + 1;
    if (this.masters.length > 0) this.degrade();
  }

  get degraded(): boolean {
    return this.probe !== undefined;
  }

  /**
   * Locks the seats once. On contention it looks at the keys, leaves out those a living rival holds, and
   * tries the rest once more; whoever is still in doubt then is decided by Postgres without a lock.
   */
  async guard(seatIds: number[]): Promise<Guard> {
    const guard: Guard = { contended: new Set(), guarded: false, ghostCount: 0, release: nothing };
    if (this.masters.length === 0 || this.degraded) return guard;

    const first = await this.lock(seatIds);
    if (first === "away") return guard;
    if (first !== "contended") return { ...guard, guarded: true, release: first };

    guard.ghostCount = await this.lookForRivals(seatIds, guard.contended);
    const rest = seatIds.filter((seatId) => !guard.contended.has(seatId));
    if (rest.length === 0) return guard;
    const second = await this.lock(rest);
    if (typeof second === "function") return { ...guard, guarded: true, release: second };
    return guard;
  }

  close(): void {
    clearInterval(this.probe);
    for (const master of this.masters) master.disconnect();
  }

  /**
   * Redlock 4 throws the same error for contention and for an outage; only its `clientError` event tells
   * them apart. Hence an instance a call: its events belong to this call alone.
   */
  private async lock(seatIds: number[]): Promise<"away" | "contended" | (() => Promise<void>)> {
    const redlock = new Redlock(this.masters as unknown as Redlock.CompatibleRedisClient[], {
      retryCount: 0,
    });
    let failures = 0;
    redlock.on("clientError", () => failures++);
    try {
      const lock = await redlock.lock(
        seatIds.map((seatId) => this.keyOf(seatId)),
        this.options.ttlMs,
      );
      return async () => {
        await lock.unlock().catch(() => undefined);
      };
    } catch {
      // A master that is away fails twice: the lock, and Redlock's own unlock after it.
      const away = Math.ceil(failures / 2);
      if (this.masters.length - away >= this.quorum) return "contended";
      this.degrade();
      return "away";
    }
  }

  /** Adds to `contended` the seats whose lock one rival holds on a majority, and young enough to be alive. */
  private async lookForRivals(seatIds: number[], contended: Set<number>): Promise<number> {
    const votes = await Promise.all(
      this.masters.map((master) => this.readLocks(master, seatIds).catch(() => [])),
    );
    let ghostCount = 0;
    for (const [position, seatId] of seatIds.entries()) {
      const held = new Map<string, { masters: number; alive: boolean }>();
      for (const vote of votes) {
        const lock = vote[position];
        if (!lock?.holder) continue;
        const known = held.get(lock.holder) ?? { masters: 0, alive: false };
        held.set(lock.holder, { masters: known.masters + 1, alive: known.alive || lock.alive });
      }
      for (const { masters, alive } of held.values()) {
        if (masters < this.quorum) continue;
        if (alive) contended.add(seatId);
        else ghostCount++;
      }
    }
    return ghostCount;
  }

  private async readLocks(
    master: Redis,
    seatIds: number[],
  ): Promise<{ holder: string | null; alive: boolean }[]> {
    const pipeline = master.pipeline();
    for (const seatId of seatIds) pipeline.get(this.keyOf(seatId)).pttl(this.keyOf(seatId));
    const replies = (await pipeline.exec()) ?? [];
    return seatIds.map((_, position) => {
      const holder = replies[2 * position]?.[1];
      const age = this.options.ttlMs - Number(replies[2 * position + 1]?.[1]);
      return { holder: typeof holder === "string" ? holder : null, alive: age >= 0 && age < GHOST_AGE_MS };
    });
  }

  private keyOf(seatId: number): string {
    return `${this.options.keyPrefix}:seat:${seatId}`;
  }

  /** Also the state at the start, until the masters have been reached for the first time. */
  private degrade(): void {
    if (this.degraded) return;
    this.options.onDegraded(true);
    this.probe = setInterval(async () => {
      const pings = await Promise.allSettled(this.masters.map((master) => master.ping()));
      if (pings.filter((ping) => ping.status === "fulfilled").length < this.quorum || !this.degraded) return;
      clearInterval(this.probe);
      this.probe = undefined;
      this.options.onDegraded(false);
    }, PROBE_INTERVAL_MS);
  }
}
