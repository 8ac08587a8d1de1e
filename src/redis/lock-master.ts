import type { Redis } from "ioredis";
import Redlock from "redlock";
import type { RedisAddress } from "./connect.ts";
import { type LinkState, RedisLink } from "./link.ts";

/** A probe's lock that could not be freed expires by itself. */
const PROBE_TTL_MS = 1000;
/** Redis's PTTL of a key that does not exist. */
const GONE = -2;

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
 * One of the independent masters that seats are locked on, in use while its link is up. Nobody waits for one that
 * is left out: without this, one hung master of three cost every batch REDIS_TIMEOUT_MS for as long as it hung.
 */
export class LockMaster {
  private readonly link: RedisLink;

  /**
   * @param keyPrefix of the locks; the probe's own lock is below it, so that an ACL on keys allows both or neither.
   * @param onChange called when it is left out, and when it is in use again.
   */
  constructor(address: RedisAddress, timeoutMs: number, keyPrefix: string, onChange: () => void) {
    this.link = new RedisLink({
      address,
      timeoutMs,
      probe: (redis) => lockAndUnlock(redis, `${keyPrefix}:seat:probe-${crypto.randomUUID()}`),
      onChange,
    });
  }

  get state(): LinkState {
    return this.link.state;
  }

  get reason(): string | undefined {
    return this.link.reason;
  }

  get isInUse(): boolean {
    return this.link.state === "up";
  }

  /**
   * A client for one lock and its unlock. Left out now, it refuses both at once, so that Redlock still counts
   * its quorum over all masters; in use now, it sends the unlock even when it is left out meanwhile, since
   * the lock may be there.
   */
  clientOfOneLock(onFailure: () => void): Redlock.CompatibleRedisClient {
    if (!this.isInUse) return refusingClient(onFailure);
    return askingClient(this.link.redis, (error) => {
      onFailure();
      this.link.fail(error);
    });
  }

  /** The locks under these keys; none known where the master is left out or does not answer. */
  async readLocks(keys: string[]): Promise<MasterLock[]> {
    if (!this.isInUse) return [];
    try {
      return await readLocks(this.link.redis, keys);
    } catch (error) {
      this.link.fail(error instanceof Error ? error : new Error(String(error)));
      return [];
    }
  }

  close(): void {
    this.link.close();
  }
}

async function readLocks(redis: Redis, keys: string[]): Promise<MasterLock[]> {
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.get(key).pttl(key);
  const replies = await pipeline.exec();
  if (!replies || replies.length !== 2 * keys.length) throw new Error("Redis did not answer");
  const fault = replies.find(([error]) => error)?.[0];
  if (fault) throw fault;
  return keys.map((_, position) => {
    const holder = replies[2 * position]?.[1];
    return {
      holder: typeof holder === "string" ? holder : null,
      restMs: Number(replies[2 * position + 1]?.[1]),
    };
  });
}

/**
 * Does everything that is done with a seat's lock, by the same scripts.
 * @throws Redis's error, or an error that the lock was not taken or freed.
 */
async function lockAndUnlock(redis: Redis, key: string): Promise<void> {
  let fault: Error | undefined;
  const client = askingClient(redis, (error) => {
    fault ??= error;
  });
  const lock = await new Redlock([client], { retryCount: 0 })
    .lock([key], PROBE_TTL_MS)
    .catch((error: Error) => Promise.reject(fault ?? error));
  const [held] = await readLocks(redis, [key]);
  await lock.unlock().catch((error: Error) => Promise.reject(fault ?? error));
  // The unlock script hides that DEL was refused.
  const [freed] = await readLocks(redis, [key]);
  if (!held?.holder || freed?.restMs !== GONE) throw new Error("Redis does not free a lock");
}

function askingClient(redis: Redis, onFailure: (error: Error) => void): Redlock.CompatibleRedisClient {
  const scripts = redis as unknown as ScriptClient;
  const seen =
    (callback: ScriptCallback): ScriptCallback =>
    (error, reply) => {
      // Redlock then sends the script itself.
      if (error && !error.message.startsWith("NOSCRIPT")) onFailure(error);
      callback(error, reply);
    };
  const client: ScriptClient = {
    evalsha: (hash, args, callback) => scripts.evalsha(hash, args, seen(callback)),
    eval: (args, callback) => scripts.eval(args, seen(callback)),
  };
  return client as unknown as Redlock.CompatibleRedisClient;
}

function refusingClient(onFailure: () => void): Redlock.CompatibleRedisClient {
  const refuse = (callback: ScriptCallback) => {
    onFailure();
    callback(new Error("this master is left out"));
  };
  const client: ScriptClient = {
    evalsha: (_hash, _args, callback) => refuse(callback),
    eval: (_args, callback) => refuse(callback),
  };
  return client as unknown as Redlock.CompatibleRedisClient;
}
