import type { Redis } from "ioredis";
import Redlock from "redlock";
import type { RedisAddress } from "./connect.ts";
import { type LinkState, RedisLink } from "./link.ts";

/** The probe's lock expires after this if it could not be freed. */
const PROBE_TTL_MS = 1000;
/** PTTL's reply for a key that does not exist. */
const GONE = -2;

/** The part of a Redis client that Redlock 4 calls; Redlock's own types cover only half of it. */
interface ScriptClient {
  evalsha(hash: string, args: unknown[], callback: ScriptCallback): unknown;
  eval(args: unknown[], callback: ScriptCallback): unknown;
}
type ScriptCallback = (error: Error | null, reply?: unknown) => void;

/** A lock as one master reports it: its holder and remaining lifetime (below 0: no expiry, or no lock). */
export interface MasterLock {
  holder: string | null;
  restMs: number;
}

/**
 * One of the independent masters that seats are locked on; it is in use while its link is up. Nobody waits
 * for a master that is out of use (docs/decisions/0004-redis-locks-are-hints.md).
 */
export class LockMaster {
  private readonly link: RedisLink;

  /**
   * @param keyPrefix prefix of the locks, also used for the probe's lock, so that a key ACL allows both or
   * neither
   * @param onChange called when the master goes out of use and when it is in use again
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
   * Returns a client for one lock and its unlock. If the master is out of use now, the client refuses both
   * immediately, so that Redlock still counts its quorum over all masters. If it is in use now, the client
   * sends the unlock even if the master goes out of use meanwhile, because the lock may exist.
   */
  clientOfOneLock(onFailure: () => void): Redlock.CompatibleRedisClient {
    if (!this.isInUse) return refusingClient(onFailure);
    return askingClient(this.link.redis, (error) => {
      onFailure();
      this.link.fail(error);
    });
  }

  /** Returns the locks under these keys, or an empty list if the master is out of use or does not respond. */
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
  if (!replies || replies.length !== 2 * keys.length) throw new Error("Redis did not reply");
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
 * Runs every operation of a seat's lock, with the same scripts.
 * @throws Redis's error, or an error if the lock was not taken or not freed
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
  // The unlock script does not report that DEL was refused.
  const [freed] = await readLocks(redis, [key]);
  if (!held?.holder || freed?.restMs !== GONE) throw new Error("Redis does not free locks");
}

function askingClient(redis: Redis, onFailure: (error: Error) => void): Redlock.CompatibleRedisClient {
  const scripts = redis as unknown as ScriptClient;
  const seen =
    (callback: ScriptCallback): ScriptCallback =>
    (error, reply) => {
      // After NOSCRIPT, Redlock sends the script itself.
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
    callback(new Error("this master is not in use"));
  };
  const client: ScriptClient = {
    evalsha: (_hash, _args, callback) => refuse(callback),
    eval: (_args, callback) => refuse(callback),
  };
  return client as unknown as Redlock.CompatibleRedisClient;
}
