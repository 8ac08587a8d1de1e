import { beforeAll, describe, expect, test } from "bun:test";
import { Redis as RedisClient } from "ioredis";
import { partOrSkip } from "../fixtures/parts.ts";
import { type Network, startProxy } from "../fixtures/proxy.ts";
import { findRedis } from "../fixtures/redis.ts";
import { until } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import { openSale, reserve, seatsFrom } from "./buyers.ts";
import { logLines, strayLines } from "./engines.ts";
import { readMetrics } from "./scraped-metrics.ts";

const redisFound = await partOrSkip("redis", findRedis);

const SEATS = 20_000;
const REDIS_PASSWORD = "redis-s3cret";

describe("the log of an engine", () => {
  const house = useEngine({
    needs: ["redis"],
    seats: SEATS,
    env: async ({ databaseUrl, redis, stack }) => {
      database = await startProxy(databaseUrl);
      stack.defer(database.stop);
      if (redis) await setPassword(redis.url);
      return {
        DATABASE_URL: database.url,
        // A busy machine must not look like a Redis that is unavailable.
        REDIS_TIMEOUT_MS: "1000",
        ...(redis && { REDIS_URL: redis.url.replace("//", `//:${REDIS_PASSWORD}@`) }),
      };
    },
  });
  const seats = seatsFrom(1, SEATS);
  const nextSeat = () => seats.next().value ?? 0;
  let database: Network;

  beforeAll(() => becomes("redis", true));

  /** Waits until the metrics say of the component that it is up or not; at once where there is none. */
  async function becomes(component: "db" | "redis", up: boolean): Promise<void> {
    if (component === "redis" && !house.redis) return;
    await until(`${component} is ${up ? "up" : "down"} by the metrics`, async () => {
      const { value } = await readMetrics(house.url);
      return value("sentinel_component_up", { component }) === (up ? 1 : 0);
    });
  }
  /** What was written while `work` was done. */
  const saidDuring = async (work: () => Promise<void>) => {
    const before = logLines(house.engine).length;
    await work();
    return logLines(house.engine).slice(before);
  };
  const sellDuring = async (work: () => Promise<void>) => {
    const sale = openSale(house.url, seats, 8);
    try {
      await work();
    } finally {
      await sale.stop();
    }
  };

  test("is one JSON object a line with level, time, pid, thread and message, and nothing else is written", () => {
    expect(strayLines(house.engine)).toEqual([]);
    const lines = logLines(house.engine);
    expect(lines.length).toBeGreaterThan(0);
    for (const { level, time, pid, thread, msg } of lines) {
      expect(level).toBeNumber();
      expect(pid).toBe(house.engine.pid);
      expect(new Date(time).toISOString()).toBe(time);
      expect(thread).toMatch(/^(main|reservation|publisher)/);
      expect(msg).toMatch(/\S/);
    }
    expect(lines.filter(({ msg }) => msg === "ready").map(({ url }) => url)).toEqual([house.url]);
  });

  test("has no line for a request, whatever its answer", async () => {
    const said = await saidDuring(async () => {
      const seatId = nextSeat();
      for (const path of [seatId, seatId, "abc", SEATS + 1].map((id) => `/api/v1/bookings/reserve/${id}`)) {
        for (let count = 0; count < 25; count++) await fetch(house.url + path, { method: "POST" });
      }
      await fetch(`${house.url}/api/v1/bookings/reserve/${nextSeat()}`, {
        ...{ method: "POST", body: "x".repeat(20_000) },
      });
      for (const path of [
        "/no/such/route",
        "/api/v1/seats",
        "/api/v1/seats/abc",
        "/health/ready",
        "/metrics",
      ]) {
        await fetch(house.url + path);
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
          house.redis?.pause();
          try {
            await becomes("redis", false);
            // Long enough for every watcher to have looked at least twice.
            await until("Redis is unavailable for a while", () => performance.now() > awayAt + 2500);
          } finally {
            house.redis?.resume();
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
        expect((await reserve(house.url, nextSeat())).status).toBe(503);
        await fetch(`${house.url}/api/v1/seats/1`);
      }
      database.heal();
      await becomes("db", true);
      await until(
        "the engine sells again",
        async () => (await reserve(house.url, nextSeat())).status === 201,
      );
    });
    expect(said.map(({ level, msg }) => [level, msg])).toEqual([
      [50, expect.stringMatching(/database is unavailable/)],
      [30, expect.stringMatching(/database is available again/)],
    ]);
  });

  test("has a line or three when Postgres refuses what it is asked, not one for each batch", async () => {
    const said = await saidDuring(async () => {
      await house.facts.query("alter table seats rename to seats_away");
      try {
        for (let count = 0; count < 50; count++) {
          expect((await reserve(house.url, nextSeat())).status).toBe(503);
        }
      } finally {
        await house.facts.query("alter table seats_away rename to seats");
      }
      await until(
        "the engine sells again",
        async () => (await reserve(house.url, nextSeat())).status === 201,
      );
    });
    // The thread's own, and the sale's end and return.
    expect(said.length).toBeGreaterThan(0);
    expect(said.length).toBeLessThanOrEqual(3);
  });

  test("never tells a password", async () => {
    const { password } = new URL(database.url);
    expect(password.length).toBeGreaterThan(8);
    expect(house.engine.output()).not.toContain(password);
    expect(house.engine.output()).not.toContain(REDIS_PASSWORD);
  });

  test("tells no password at the most talkative level either, nor where the wrong one is refused", async () => {
    const talkative = await house.open({
      LOG_LEVEL: "trace",
      ...(house.redis && { REDIS_URL: house.redis.url.replace("//", "//:wr0ng-redis@") }),
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
