import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { partOrSkip } from "../support/parts.ts";
import { createDatabase } from "../support/postgres.ts";
import { findRedis, type Redis, startRedis } from "../support/redis.ts";
import { until } from "../support/until.ts";
import { histogram, openSale, reserve, type Sale, seatsFrom } from "./buyers.ts";
import { type Engine, openEngine } from "./engines.ts";
import { type Facts, openFacts } from "./facts.ts";
import { readFigures } from "./figures.ts";

// Parts take seconds to start on a busy machine; what must be quick is measured. Bun keeps this for one file only.
setDefaultTimeout(60_000);

const found = await partOrSkip("redis", findRedis);

const SEATS = 200_000;
const BUYERS = 24;
const WAIT = { deadlineMs: 30_000 };

describe.skipIf(!found)("an engine whose Redis goes away in the middle of a sale", () => {
  const stack = new AsyncDisposableStack();
  let redis: Redis;
  let engine: Engine;
  let facts: Facts;
  const seats = seatsFrom(1, SEATS);

  beforeAll(async () => {
    const database = await createDatabase();
    stack.defer(database.drop);
    facts = await openFacts(stack, database.url);
    await facts.fill(SEATS);
    redis = await startRedis();
    stack.defer(() => redis.stop());
    engine = await openEngine(stack, { DATABASE_URL: database.url, REDIS_URL: redis.url });
    await locksInUse();
  });
  afterAll(() => stack.disposeAsync());

  const figures = () => readFigures(engine.url);
  const degradedIs = (value: 0 | 1) =>
    until(
      async () => {
        const { value: figure } = await figures();
        return (
          figure("sentinel_lock_degraded", { thread: "reservation-1" }) === value &&
          figure("sentinel_component_up", { component: "redis" }) === 1 - value
        );
      },
      { ...WAIT, what: `the metrics say ${value ? "degraded" : "locks in use"}` },
    );
  const locksInUse = () => degradedIs(0);
  const sellsOn = async (sale: Sale) => {
    const before = sale.won();
    await until(() => sale.won() >= before + 200, { ...WAIT, what: "200 more seats are sold" });
  };

  /** Every seat is asked for once, so anything but 201 would be false. */
  const expectAllSold = async (sale: Sale) => {
    const answers = await sale.stop();
    expect(histogram(answers)).toEqual({ 201: answers.length });
    await facts.expectSound();
  };

  /** Batches that went without a lock while these seats were sold. */
  const unguardedWhileSelling = async () => {
    const read = async () => (await figures()).value("sentinel_unguarded_batches_total") ?? Number.NaN;
    const before = await read();
    for (let count = 0; count < 20; count++) {
      const { value: seatId = 0 } = seats.next();
      expect((await reserve(engine.url, seatId)).status).toBe(201);
    }
    return (await read()) - before;
  };

  test("locks seats with it while it is there", async () => {
    expect(await unguardedWhileSelling()).toBe(0);
  });

  test("sells on without a false answer while Redis hangs, says so, and locks again when it answers", async () => {
    const sale = openSale(engine.url, seats, BUYERS);
    await sellsOn(sale);
    redis.pause();
    stack.defer(() => redis.resume());
    await degradedIs(1);
    await sellsOn(sale);
    redis.resume();
    await locksInUse();
    await sellsOn(sale);
    await expectAllSold(sale);
    expect(await unguardedWhileSelling()).toBe(0);
  });

  test("sells on while Redis is dead, and locks again when another is there at its address", async () => {
    const sale = openSale(engine.url, seats, BUYERS);
    await sellsOn(sale);
    await redis.kill();
    await degradedIs(1);
    await sellsOn(sale);
    await redis.stop();
    redis = await startRedis(redis.port);
    await locksInUse();
    await until(async () => (await figures()).value("sentinel_feed_up") === 1, {
      ...WAIT,
      what: "the change feed is heard again",
    });
    await sellsOn(sale);
    await expectAllSold(sale);
    expect(await unguardedWhileSelling()).toBe(0);
  });

  test("makes nobody wait for a Redis that hangs, once it has noticed, and stays ready", async () => {
    const sellOne = async () => {
      const { value: seatId = 0 } = seats.next();
      expect((await reserve(engine.url, seatId)).status).toBe(201);
    };
    const secondsInLocks = async () =>
      (await figures()).sum("sentinel_reservation_stage_duration_seconds_sum", { stage: "lock" });
    redis.pause();
    try {
      await sellOne();
      await degradedIs(1);
      const before = await secondsInLocks();
      for (let count = 0; count < 20; count++) await sellOne();
      // All of them together not one REDIS_TIMEOUT_MS.
      expect((await secondsInLocks()) - before).toBeLessThan(0.05);
      const health = await fetch(`${engine.url}/actuator/health`);
      expect([health.status, await health.json()]).toEqual([
        200,
        { status: "UP", components: { db: { status: "UP" }, redis: { status: "DOWN" } } },
      ]);
      expect((await fetch(`${engine.url}/health/ready`)).status).toBe(200);
    } finally {
      redis.resume();
    }
    await locksInUse();
  });
});
