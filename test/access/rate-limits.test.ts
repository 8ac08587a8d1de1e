import { describe, expect, test } from "bun:test";
import { Redis as RedisClient } from "ioredis";
import { RateLimits, rateLimitHeaders } from "../../src/access/rate-limits.ts";
import { SharedCounts } from "../../src/redis/rate-limits.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { startProxy } from "../fixtures/proxy.ts";
import { findRedis, startRedis } from "../fixtures/redis.ts";
import { untilWithin } from "../fixtures/until.ts";

const redisFound = await partOrSkip("redis", findRedis);

const OFF = { address: 0, key: 0, reserve: 0 };
const limitsOf = (address: number, windowSeconds = 60) =>
  new RateLimits({ windowSeconds, limits: { ...OFF, address } });
const count = async (limits: RateLimits, subject = "192.0.2.1") => {
  const counted = await limits.count("address", () => subject);
  if (!counted) throw new Error("the policy is off");
  return counted;
};
const isOver = async (limits: RateLimits, subject?: string) => (await count(limits, subject)).isOver;

describe("a rate limit", () => {
  test("lets a subject send the limit of requests in a window, and then none", async () => {
    const limits = limitsOf(3);
    const counts = [await count(limits), await count(limits), await count(limits), await count(limits)];
    expect(counts.map(({ remaining }) => remaining)).toEqual([2, 1, 0, 0]);
    expect(counts.map((each) => each.isOver)).toEqual([false, false, false, true]);
    expect(counts[3]?.resetSeconds).toBeWithin(50, 61);
  });

  test("counts every subject for itself", async () => {
    const limits = limitsOf(1);
    expect(await isOver(limits, "192.0.2.1")).toBe(false);
    expect(await isOver(limits, "192.0.2.2")).toBe(false);
    expect(await isOver(limits, "192.0.2.1")).toBe(true);
  });

  test("starts over when its window is over", async () => {
    const limits = limitsOf(1, 1);
    await count(limits);
    expect(await isOver(limits)).toBe(true);
    await untilWithin(3000, "the window is over", async () => !(await isOver(limits)));
  });

  test("that is off answers at once, and asks for no subject", () => {
    const limits = limitsOf(1);
    expect(limits.has("address")).toBe(true);
    expect(limits.has("key")).toBe(false);
    const asked = () => {
      throw new Error("asked for the subject");
    };
    expect(limits.count("key", asked)).toBeUndefined();
  });

  test("keeps a bounded number of subjects: those beyond share their counts", async () => {
    const limits = limitsOf(2, 3600);
    for (let address = 0; address < 100_000; address++) await count(limits, `subject ${address}`);
    let over = 0;
    for (let address = 0; address < 10_000; address++)
      over += (await isOver(limits, `further ${address}`)) ? 1 : 0;
    // 1024 buckets of 2 requests each.
    expect(over).toBeWithin(10_000 - 2 * 1024, 10_000);
    expect(await isOver(limits, "subject 7")).toBe(false);
  });

  test("is told in the fields of the IETF's draft", async () => {
    const limits = limitsOf(3);
    expect(rateLimitHeaders(await count(limits))).toEqual({
      ratelimit: `"address";r=2;t=60`,
      "ratelimit-policy": `"address";q=3;w=60`,
    });
  });
});

describe.skipIf(!redisFound)("a rate limit in Redis", () => {
  async function open(stack: AsyncDisposableStack) {
    const redis = await startRedis();
    stack.defer(redis.stop);
    const network = await startProxy(redis.url);
    stack.defer(network.stop);
    const changes: boolean[] = [];
    const processOf = (limit: number) => {
      const shared = new SharedCounts({
        redis: { url: network.url },
        keyPrefix: "sentinel:test",
        timeoutMs: 50,
        onDegraded: (degraded) => changes.push(degraded),
      });
      stack.defer(() => shared.close());
      return {
        shared,
        limits: new RateLimits({ windowSeconds: 60, limits: { ...OFF, address: limit }, shared }),
      };
    };
    const inUse = (shared: SharedCounts) => untilWithin(5000, "Redis is in use", () => !shared.degraded);
    return { redis, network, changes, processOf, inUse };
  }

  test("is one for all processes", async () => {
    await using stack = new AsyncDisposableStack();
    const { processOf, inUse } = await open(stack);
    const [one, two] = [processOf(3), processOf(3)];
    await Promise.all([inUse(one.shared), inUse(two.shared)]);
    expect((await count(one.limits)).remaining).toBe(2);
    expect((await count(two.limits)).remaining).toBe(1);
    expect((await count(one.limits)).remaining).toBe(0);
    expect(await isOver(two.limits)).toBe(true);
    expect(await isOver(one.limits)).toBe(true);
  });

  test("counts requests that come together with few commands, and each of them for itself", async () => {
    await using stack = new AsyncDisposableStack();
    const { redis, processOf, inUse } = await open(stack);
    const { shared, limits } = processOf(60);
    await inUse(shared);
    const watcher = new RedisClient(redis.url);
    stack.defer(() => watcher.disconnect());
    const commands = async () =>
      Number(/total_commands_processed:(\d+)/.exec(await watcher.info("stats"))?.[1]);
    await count(limits, "another, so that the script is loaded");
    const before = await commands();
    const counts = await Promise.all(Array.from({ length: 100 }, () => count(limits)));
    expect(counts.map(({ remaining }) => remaining)).toEqual(
      Array.from({ length: 100 }, (_, position) => Math.max(0, 59 - position)),
    );
    expect(counts.filter((each) => each.isOver)).toHaveLength(40);
    // A script is one command and those inside it.
    expect((await commands()) - before).toBeLessThan(20);
  });

  test("asks Redis no more about a subject that is over it", async () => {
    await using stack = new AsyncDisposableStack();
    const { network, processOf, inUse } = await open(stack);
    const [one, two] = [processOf(2), processOf(2)];
    await Promise.all([inUse(one.shared), inUse(two.shared)]);
    await count(one.limits);
    await count(one.limits);
    expect(await isOver(two.limits)).toBe(true);
    network.hang();
    const startedAt = performance.now();
    for (let request = 0; request < 1000; request++) expect(await isOver(two.limits)).toBe(true);
    expect(performance.now() - startedAt).toBeLessThan(1000);
    expect(two.shared.degraded).toBe(false);
  });

  test.each(["cut", "hang"] as const)(
    "is kept by memory, from where it stood, when Redis is gone (%s)",
    async (how) => {
      await using stack = new AsyncDisposableStack();
      const { network, processOf, inUse, changes } = await open(stack);
      const { shared, limits } = processOf(100);
      await inUse(shared);
      for (let request = 0; request < 50; request++) await count(limits);
      network[how]();
      const startedAt = performance.now();
      for (let request = 0; request < 50; request++) expect(await isOver(limits)).toBe(false);
      expect(await isOver(limits)).toBe(true);
      // One command waits for its 50 ms; nobody after it does.
      expect(performance.now() - startedAt).toBeLessThan(1000);
      expect(shared.degraded).toBe(true);
      network.heal();
      await inUse(shared);
      expect(changes).toEqual([true, false, true, false]);
    },
  );
});
