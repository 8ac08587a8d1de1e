import { beforeAll, describe, expect, test } from "bun:test";
import { Redis as RedisClient } from "ioredis";
import { partOrSkip } from "../fixtures/parts.ts";
import { openDatabase } from "../fixtures/postgres.ts";
import { type Network, startProxy } from "../fixtures/proxy.ts";
import { findRedis, type Redis, startRedis } from "../fixtures/redis.ts";
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import { openSale, reserve, seatsFrom } from "./buyers.ts";
import { type Engine, logLines, openEngine, strayLines } from "./engines.ts";
import { type Facts, openFacts } from "./facts.ts";
import { readMetrics } from "./scraped-metrics.ts";

const redisFound = await partOrSkip("redis", findRedis);

const SEATS = 100_000;
const REDIS_PASSWORD = "redis-s3cret";

describe("the log of an engine", () => {
  const stack = useStack();
  const seats = seatsFrom(1, SEATS);
  const nextSeat = () => seats.next().value ?? 0;
  let engine: Engine;
  let database: Network;
  let facts: Facts;
  let redis: Redis | undefined;

  beforeAll(async () => {
    const own = await openDatabase(stack);
    facts = await openFacts(stack, own.url);
    await facts.fill(SEATS);
    database = await startProxy(own.url);
    stack.defer(database.stop);
    redis = redisFound ? await startRedis() : undefined;
    if (redis) stack.defer(redis.stop);
    if (redis) await setPassword(redis.url);
    engine = await openEngine(stack, {
      DATABASE_URL: database.url,
      ...(redis && { REDIS_URL: redis.url.replace("//", `//:${REDIS_PASSWORD}@`) }),
    });
    await becomes("redis", true);
  });

  /** Waits until the metrics say of the component that it is up or not; at once where there is none. */
  async function becomes(component: "db" | "redis", up: boolean): Promise<void> {
    if (component === "redis" && !redis) return;
    await until(`${component} is ${up ? "up" : "down"} by the metrics`, async () => {
      const { value } = await readMetrics(engine.url);
      return value("sentinel_component_up", { component }) === (up ? 1 : 0);
    });
  }
  /** What was written while `work` was done. */
  const saidDuring = async (work: () => Promise<void>) => {
    const before = logLines(engine).length;
    await work();
    return logLines(engine).slice(before);
  };
  const sellDuring = async (work: () => Promise<void>) => {
    const sale = openSale(engine.url, seats, 8);
    try {
      await work();
    } finally {
      await sale.stop();
    }
  };

  test("is one JSON object a line with level, time, pid, thread and message, and nothing else is written", () => {
    expect(strayLines(engine)).toEqual([]);
    const lines = logLines(engine);
    expect(lines.length).toBeGreaterThan(0);
    for (const { level, time, pid, thread, msg } of lines) {
      expect(level).toBeNumber();
      expect(pid).toBe(engine.pid);
      expect(new Date(time).toISOString()).toBe(time);
      expect(thread).toMatch(/^(main|reservation|publisher)/);
      expect(msg).toMatch(/\S/);
    }
    expect(lines.filter(({ msg }) => msg === "ready").map(({ url }) => url)).toEqual([engine.url]);
  });

  test("has no line for a request, whatever its answer", async () => {
    const said = await saidDuring(async () => {
      const seatId = nextSeat();
      for (const path of [seatId, seatId, "abc", SEATS + 1].map((id) => `/api/v1/bookings/reserve/${id}`)) {
        for (let count = 0; count < 25; count++) await fetch(engine.url + path, { method: "POST" });
      }
      await fetch(`${engine.url}/api/v1/bookings/reserve/${nextSeat()}`, {
        ...{ method: "POST", body: "x".repeat(20_000) },
      });
      for (const path of [
        "/no/such/route",
        "/api/v1/seats",
        "/api/v1/seats/abc",
        "/health/ready",
        "/metrics",
      ]) {
        await fetch(engine.url + path);
      }
    });
    expect(said).toEqual([]);
  });

  test.skipIf(!redisFound)(
    "has one line when Redis goes and one when it is back, however much is sold meanwhile",
    async () => {
      const said = await saidDuring(() =>
        sellDuring(async () => {
          const awayAt = performance.now();
          redis?.pause();
          try {
            await becomes("redis", false);
            // Long enough for every watcher to have looked at least twice.
            await until("Redis is unavailable for a while", () => performance.now() > awayAt + 2500);
          } finally {
            redis?.resume();
          }
          await becomes("redis", true);
        }),
      );
      expect(said.map(({ level, msg }) => [level, msg])).toEqual([
        [40, expect.stringMatching(/Redis is unavailable/)],
        [30, expect.stringMatching(/Redis is available again/)],
      ]);
    },
  );

  test("has one line when Postgres goes and one when it is back, however many are turned away meanwhile", async () => {
    const said = await saidDuring(async () => {
      database.cut();
      await becomes("db", false);
      // Long enough for the gate to have looked several times.
      for (const awayAt = performance.now(); performance.now() < awayAt + 1500; ) {
        expect((await reserve(engine.url, nextSeat())).status).toBe(503);
        await fetch(`${engine.url}/api/v1/seats/1`);
      }
      database.heal();
      await becomes("db", true);
      await until(
        "the engine sells again",
        async () => (await reserve(engine.url, nextSeat())).status === 201,
      );
    });
    expect(said.map(({ level, msg }) => [level, msg])).toEqual([
      [50, expect.stringMatching(/database is unavailable/)],
      [30, expect.stringMatching(/database is available again/)],
    ]);
  });

  test("has a line or three when Postgres refuses what it is asked, not one for each batch", async () => {
    const said = await saidDuring(async () => {
      await facts.query("alter table seats rename to seats_away");
      try {
        for (let count = 0; count < 50; count++) {
          expect((await reserve(engine.url, nextSeat())).status).toBe(503);
        }
      } finally {
        await facts.query("alter table seats_away rename to seats");
      }
      await until(
        "the engine sells again",
        async () => (await reserve(engine.url, nextSeat())).status === 201,
      );
    });
    // The thread's own, and the sale's end and return.
    expect(said.length).toBeGreaterThan(0);
    expect(said.length).toBeLessThanOrEqual(3);
  });

  test("never tells a password", async () => {
    const { password } = new URL(database.url);
    expect(password.length).toBeGreaterThan(8);
    expect(engine.output()).not.toContain(password);
    expect(engine.output()).not.toContain(REDIS_PASSWORD);
  });

  test("tells no password at the most talkative level either, nor where the wrong one is refused", async () => {
    await using own = new AsyncDisposableStack();
    const talkative = await openEngine(own, {
      ...{ DATABASE_URL: database.url, LOG_LEVEL: "trace" },
      ...(redis && { REDIS_URL: redis.url.replace("//", "//:wr0ng-redis@") }),
    });
    expect((await reserve(talkative.url, nextSeat())).status).toBe(201);
    database.cut();
    await until("a 503", async () => (await reserve(talkative.url, nextSeat())).status === 503);
    database.heal();
    await until("a 201", async () => (await reserve(talkative.url, nextSeat())).status === 201);
    await talkative.stop();
    const { password } = new URL(database.url);
    expect(logLines(talkative).length).toBeGreaterThan(5);
    expect(talkative.output()).not.toContain(password);
    expect(talkative.output()).not.toContain("wr0ng-redis");
  });
});

async function setPassword(url: string): Promise<void> {
  const client = new RedisClient(url, { lazyConnect: true });
  try {
    await client.connect();
    await client.config("SET", "requirepass", REDIS_PASSWORD);
  } finally {
    client.disconnect();
  }
}
