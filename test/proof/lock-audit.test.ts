import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Redis as Client } from "ioredis";
import { LockAudit } from "../../src/redis/lock-audit.ts";
import { SeatLocks } from "../../src/redis/seat-locks.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis, type Redis, startRedis } from "../fixtures/redis.ts";
import { until } from "../fixtures/until.ts";

const found = await partOrSkip("redis", findRedis);

const TTL_LIMIT_MS = 2000;
const STRAY_LIMIT = 100;

describe.skipIf(!found)("the audit of locks", () => {
  const closes: (() => void)[] = [];
  let redis: Redis;
  let client: Client;
  beforeAll(async () => {
    redis = await startRedis();
    client = new Client(redis.url);
    closes.push(() => client.disconnect());
  });
  afterAll(async () => {
    for (const close of closes) close();
    await redis.stop();
  });

  let prefixes = 0;
  /** The audit of an engine of its own, connected. */
  async function openAudit() {
    await client.flushdb();
    const keyPrefix = `test-${++prefixes}`;
    const options = { redisUrls: [redis.url], keyPrefix, timeoutMs: 200, ttlLimitMs: TTL_LIMIT_MS };
    const audit = new LockAudit(options);
    closes.push(() => audit.close());
    const keyOf = (seatId: number) => `${keyPrefix}:seat:${seatId}`;
    await client.set(keyOf(0), "somebody", "PX", TTL_LIMIT_MS);
    await until("it is connected", async () => (await audit.look(STRAY_LIMIT)).lookedAt > 0);
    await client.del(keyOf(0));
    const look = () => audit.look(STRAY_LIMIT);
    return { audit, look, keyOf, keyPrefix };
  }

  test("finds a lock that never ends and one that ends too late, and forgets them when they are gone", async () => {
    const { look, keyOf } = await openAudit();
    await client.set(keyOf(7), "nobody");
    await client.set(keyOf(8), "nobody", "PX", 60_000);
    const { stray } = await look();
    expect(stray.toSorted((a, b) => a.key.localeCompare(b.key))).toEqual([
      { master: 1, key: keyOf(7), ttlMs: undefined },
      { master: 1, key: keyOf(8), ttlMs: expect.any(Number) },
    ]);
    await client.del(keyOf(7));
    await client.pexpire(keyOf(8), TTL_LIMIT_MS);
    expect((await look()).stray).toEqual([]);
  });

  test("does not find the locks of an engine, nor keys of others", async () => {
    const { look, keyOf, keyPrefix } = await openAudit();
    const locks = new SeatLocks({
      ...{ redisUrls: [redis.url], keyPrefix, ttlMs: TTL_LIMIT_MS, timeoutMs: 200 },
      onDegraded: () => undefined,
    });
    closes.push(() => locks.close());
    await until("the locks are in use", () => !locks.degraded);
    await client.set("another:seat:1", "for ever");
    await client.set(`${keyPrefix}:limits:1`, "for ever");
    const locked = await locks.lockBatch([1, 2, 3]);
    expect(await client.exists(keyOf(1), keyOf(2), keyOf(3))).toBe(3);
    expect(await look()).toEqual({ lookedAt: 3, stray: [] });
    await locked.release();
  });

  test("goes through many keys in parts, and has what it found in sight in each", async () => {
    const { look, keyOf } = await openAudit();
    const pipeline = client.pipeline();
    for (let seatId = 1; seatId <= 3000; seatId++)
      pipeline.set(keyOf(seatId), "somebody", "PX", TTL_LIMIT_MS);
    pipeline.set(keyOf(9999), "nobody");
    await pipeline.exec();
    let looks = 0;
    await until("the lock that never ends is found", async () => {
      looks++;
      const { lookedAt, stray } = await look();
      expect(lookedAt).toBeLessThan(1500);
      return stray.length === 1;
    });
    for (let again = 0; again < 3; again++)
      expect((await look()).stray).toMatchObject([{ key: keyOf(9999) }]);
    expect(looks).toBeLessThan(20);
    await client.del(keyOf(9999));
    expect((await look()).stray).toEqual([]);
  });

  test("keeps what it knew, and fails nobody, while Redis does not answer", async () => {
    const { look, keyOf } = await openAudit();
    await client.set(keyOf(1), "nobody");
    expect((await look()).stray).toHaveLength(1);
    redis.pause();
    try {
      expect(await look()).toMatchObject({ lookedAt: 0, stray: [{ key: keyOf(1) }] });
    } finally {
      redis.resume();
    }
    await client.del(keyOf(1));
    await until("it is looked at again", async () => (await look()).stray.length === 0);
  });
});
