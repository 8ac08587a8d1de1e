import type { Redis } from "ioredis";
import type { TlsFiles } from "../config/secret-files.ts";
import { connectRedis, followMaster } from "./connect.ts";

/** Keys that Redis examines per SCAN call, including keys of others. A call takes a fraction of a millisecond. */
const SCAN_KEYS = 500;

/** PTTL's replies for a key without an expiry and for a key that no longer exists. */
const ENDLESS = -1;
const GONE = -2;

export interface LockAuditOptions {
  redisUrls: string[];
  redisTls?: TlsFiles | undefined;
  /** The key prefix of the seat locks. */
  keyPrefix: string;
  timeoutMs: number;
  /** The longest lifetime that any engine on this database gives a lock, however it is configured. */
  ttlLimitMs: number;
}

/** A lock that no engine can have set. */
export interface StrayLock {
  /** The number of its master, from 1. */
  master: number;
  key: string;
  /** Undefined if the key never expires. */
  ttlMs: number | undefined;
}

interface Master {
  redis: Redis;
  stopFollowing(): void;
  cursor: string;
  stray: StrayLock[];
}

/** Scans the keys of each master continuously, a bounded part per call, and checks the seat locks among them. */
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
   * Checks the next keys, and the stray locks of earlier calls again. Never rejects. If a master does not
   * respond, its earlier result stands.
   * @param limit stray locks remembered per master
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

/** Returns the remaining lifetime of each key, in milliseconds. */
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
