import type { Redis } from "ioredis";
import type Redlock from "redlock";
import { connectRedis, type RedisAddress } from "./connect.ts";

/** How often a master that is left out is asked whether it is back. */
const PROBE_INTERVAL_MS = 200;

/** The part of a Redis client that Redlock 4 speaks with; its own types know only half of it. */
interface ScriptClient {
  evalsha(hash: string, args: unknown[], callback: ScriptCallback): unknown;
  eval(args: unknown[], callback: ScriptCallback): unknown;
}
type ScriptCallback = (error: Error | null, reply?: unknown) => void;

/** What a master says of a lock: its holder, and how long it still lives (below 0: for ever, or there is none). */
export interface MasterLock {
  holder: string | null;
  restMs: number;
}

/**
 * One of the independent masters that seats are locked on.
 *
 * States: left out → (a ping is answered) → in use → (a command fails or is late) → left out. It begins left
 * out, and is pinged every 200 ms while it is. Nobody waits for one that is left out: without this, one hung
 * master of three cost every batch REDIS_TIMEOUT_MS for as long as it hung.
 */
export class LockMaster {
  private readonly redis: Redis;
  private probe: ReturnType<typeof setInterval> | undefined;
  private isClosed = false;

  /** @param onChange hears that it is left out, or in use again. */
  constructor(
    address: RedisAddress,
    timeoutMs: number,
    private readonly onChange: () => void,
  ) {
    this.redis = connectRedis(address, timeoutMs);
    this.startProbe();
  }

  get isInUse(): boolean {
    return this.probe === undefined;
  }

  /**
   * A client for one lock and its unlock. Left out now, it refuses both at once, so that Redlock still counts
   * its quorum over all masters; in use now, it sends the unlock even when it is left out meanwhile, since
   * the lock may be there.
   */
  clientOfOneLock(onFailure: () => void): Redlock.CompatibleRedisClient {
    const client: ScriptClient = this.isInUse ? this.askingClient(onFailure) : refusingClient(onFailure);
    return client as unknown as Redlock.CompatibleRedisClient;
  }

  /** The locks under these keys; none known where the master is left out or does not answer. */
  async readLocks(keys: string[]): Promise<MasterLock[]> {
    if (!this.isInUse) return [];
    const pipeline = this.redis.pipeline();
    for (const key of keys) pipeline.get(key).pttl(key);
    const replies = (await pipeline.exec().catch(() => null)) ?? [];
    if (replies.length === 0 || replies.some(([error]) => error)) {
      this.leaveOut();
      return [];
    }
    return keys.map((_, position) => {
      const holder = replies[2 * position]?.[1];
      return {
        holder: typeof holder === "string" ? holder : null,
        restMs: Number(replies[2 * position + 1]?.[1]),
      };
    });
  }

  close(): void {
    this.isClosed = true;
    clearInterval(this.probe);
    this.redis.disconnect();
  }

  private askingClient(onFailure: () => void): ScriptClient {
    const seen =
      (callback: ScriptCallback): ScriptCallback =>
      (error, reply) => {
        // Redlock then sends the script itself.
        if (error && !error.message.startsWith("NOSCRIPT")) {
          onFailure();
          this.leaveOut();
        }
        callback(error, reply);
      };
    const redis = this.redis as unknown as ScriptClient;
    return {
      evalsha: (hash, args, callback) => redis.evalsha(hash, args, seen(callback)),
      eval: (args, callback) => redis.eval(args, seen(callback)),
    };
  }

  private leaveOut(): void {
    if (!this.isInUse) return;
    this.startProbe();
    this.onChange();
  }

  private startProbe(): void {
    // A command that was under way fails afterwards.
    if (this.isClosed) return;
    this.probe = setInterval(async () => {
      const answered = await this.redis.ping().catch(() => undefined);
      if (answered === undefined || this.isInUse) return;
      clearInterval(this.probe);
      this.probe = undefined;
      this.onChange();
    }, PROBE_INTERVAL_MS);
  }
}

function refusingClient(onFailure: () => void): ScriptClient {
  const refuse = (callback: ScriptCallback) => {
    onFailure();
    callback(new Error("this master is left out"));
  };
  return {
    evalsha: (_hash, _args, callback) => refuse(callback),
    eval: (_args, callback) => refuse(callback),
  };
}
