import type { Redis } from "ioredis";
import type { TlsFiles } from "../config/secret-files.ts";
import { connectRedis, followMaster } from "./connect.ts";

/** Redis looks at so many keys for one answer, in a fraction of a millisecond, whoever they belong to. */
const SCAN_KEYS = 500;

/** What Redis says of a key that never ends, and of one that is gone meanwhile (PTTL). */
const ENDLESS = -1;
const GONE = -2;

export interface LockAuditOptions {
  redisUrls: string[];
  redisTls?: TlsFiles | undefined;
  /** As the seat locks have it. */
  keyPrefix: string;
  timeoutMs: number;
  /** No engine on this database, however it is configured, sets a lock for longer. */
  ttlLimitMs: number;
}

/** A lock that no engine can have set. */
export interface StrayLock {
  /** Which of the masters, from 1. */
  master: number;
  key: string;
  /** Undefined where the key never ends. */
  ttlMs: number | undefined;
}

interface Master {
  redis: Redis;
  stopFollowing(): void;
  cursor: string;
  stray: StrayLock[];
}

/** Walks round and round through each master's keys, a bounded part a call, and looks at the seat locks among them. */
export class LockAudit {
  private readonly masters: Master[];

  constructor(private readonly options: LockAuditOptions) {
    this.masters = options.redisUrls.map((url) => {
      const redis = connectRedis({ url, tls: options.redisTls }, options.timeoutMs);
      const stopFollowing = followMaster(redis, [], `${options.keyPrefix}:audit:probe`);
      return { redis, stopFollowing, cursor: "0", stray: [] };
    });
  }

  /**
   * Looks at the next keys, and at the strays of earlier looks again; never fails. Of a master that does not answer
   * what was known stands.
   * @param limit how many strays of each master are kept in sight.
   */
  async look(limit: number): Promise<{ lookedAt: number; stray: StrayLock[] }> {
    const counts = await Promise.all(
      this.masters.map((master, index) => this.lookAt(master, index + 1, limit).catch(() => 0)),
    );
    return {
      lookedAt: counts.reduce((sum, count) => sum + count, 0),
      stray: this.masters.flatMap(({ stray }) => stray),
    };
  }

  close(): void {
    for (const { redis, stopFollowing } of this.masters) {
      stopFollowing();
      redis.disconnect();
    }
  }

  private async lookAt(master: Master, number: number, limit: number): Promise<number> {
    const { redis, stray } = master;
    const pattern = `${this.options.keyPrefix}:seat:*`;
    const [cursor, scanned] = await redis.scan(master.cursor, "MATCH", pattern, "COUNT", SCAN_KEYS);
    const keys = [...new Set([...stray.map(({ key }) => key), ...scanned])];
    const ttls = await readTtls(redis, keys);
    master.stray = keys
      .flatMap((key, index): StrayLock[] => {
        const ttlMs = ttls[index] ?? GONE;
        if (ttlMs === ENDLESS) return [{ master: number, key, ttlMs: undefined }];
        return ttlMs > this.options.ttlLimitMs ? [{ master: number, key, ttlMs }] : [];
      })
      .slice(0, limit);
    master.cursor = cursor;
    return keys.length;
  }
}

/** How long each key still lives, in milliseconds. */
async function readTtls(redis: Redis, keys: string[]): Promise<number[]> {
  if (keys.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.pttl(key);
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([error, ttlMs]) => {
    if (error) throw error;
    return Number(ttlMs);
  });
}
