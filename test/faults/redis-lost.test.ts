import { beforeAll, describe, expect, test } from "bun:test";
import { reserve, seatsFrom } from "../engine/buyers.ts";
import type { Engine } from "../engine/engines.ts";
import type { Facts } from "../engine/facts.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis, type Redis, startRedis } from "../fixtures/redis.ts";
import { useStack } from "../fixtures/stack.ts";
import { findToxiproxy, startToxiproxy, type ToxicLink } from "../fixtures/toxiproxy.ts";
import { until } from "../fixtures/until.ts";
import { openHouse } from "../fixtures/use-engine.ts";
import { expectTrueRefusals, openRivalry, type Rivalry } from "./rivals.ts";
import { sized } from "./sizes.ts";

// Row 9 of README.md: Redis hung, dead, slow, reset; one and two of three masters lost.

const redisFound = await partOrSkip("redis", findRedis);
const toxiproxyFound = await partOrSkip("toxiproxy", findToxiproxy);

const SEATS = sized(30_000, 500_000);
const PAIRS = 6;
/** Seats that are fought for before, during and after each fault. */
const SEATS_OF_A_PHASE = sized(100, 5000);
const REDIS_TIMEOUT_MS = 100;

/** Two engine processes on one database and on these masters, whose locks are in use. */
async function openPair(stack: AsyncDisposableStack, redisUrls: string[]) {
  const env = { REDIS_URL: redisUrls.join(), REDIS_TIMEOUT_MS: String(REDIS_TIMEOUT_MS) };
  const { facts, open } = await openHouse(stack, { seats: SEATS, env });
  const seats = seatsFrom(1, SEATS);
  const engines = await Promise.all([open(), open()]);
  const house = { facts, engines, seats, ...phasesOf(engines, facts, seats) };
  await house.locksInUse();
  return house;
}

function phasesOf(engines: [Engine, Engine], facts: Facts, seats: Iterator<number> & Iterable<number>) {
  const [engine] = engines;
  const metrics = () => readMetrics(engine.url);
  const nextSeat = () => seats.next().value ?? 0;
  const degradedIs = (value: 0 | 1) =>
    until(`the metrics say ${value ? "degraded" : "locks in use"}`, async () => {
      const all = await Promise.all(engines.map(({ url }) => readMetrics(url)));
      return all.every(
        ({ value: figure }) =>
          figure("sentinel_lock_degraded", { thread: "reservation-1" }) === value &&
          figure("sentinel_component_up", { component: "redis" }) === 1 - value,
      );
    });
  const mastersUp = () =>
    until("every thread uses all three masters", async () => {
      const all = await Promise.all(engines.map(({ url }) => readMetrics(url)));
      return ["1", "2", "3"].every((master) =>
        all.every(({ value: figure }) => figure("sentinel_lock_master_up", { master }) === 1),
      );
    });
  const goesOn = async (rivalry: Rivalry) => {
    const before = rivalry.decided();
    await until(
      `${SEATS_OF_A_PHASE} more seats are decided`,
      () => rivalry.decided() >= before + SEATS_OF_A_PHASE,
    );
  };
  /** Batches that went without a lock while these seats were sold, one by one. */
  const unlockedOf = async (count: number) => {
    const read = async () => (await metrics()).value("sentinel_unguarded_batches_total") ?? Number.NaN;
    const before = await read();
    for (let sold = 0; sold < count; sold++) expect((await reserve(engine.url, nextSeat())).status).toBe(201);
    return (await read()) - before;
  };
  const locksAgain = async (after: string) => {
    const beganAt = performance.now();
    await until("a seat is locked again", async () => (await unlockedOf(1)) === 0);
    console.info(`${after}: locks in use again after ${Math.round(performance.now() - beganAt)} ms`);
  };
  return {
    metrics,
    nextSeat,
    degradedIs,
    mastersUp,
    unlockedOf,
    locksAgain,
    locksInUse: () => degradedIs(0),
    /** Rivals fight for seats before, during and after the fault; each 409 must be true, nobody is told else. */
    survives: async (fault: { begin(): unknown; isOn?(): unknown; end(): unknown; name: string }) => {
      const rivalry = openRivalry(
        engines.map(({ url }) => url),
        seats,
        PAIRS,
      );
      try {
        await goesOn(rivalry);
        await fault.begin();
        await Promise.resolve(fault.isOn?.())
          .then(() => goesOn(rivalry))
          .finally(fault.end);
        await locksAgain(fault.name);
        await degradedIs(0);
        await goesOn(rivalry);
      } finally {
        await rivalry.stop();
      }
      await expectTrueRefusals(facts, await rivalry.stop());
      // A busy machine may miss the time limit of a lock once; then the next half second goes without.
      await until("ten seats in a row are locked", async () => (await unlockedOf(10)) === 0);
    },
  };
}

describe.skipIf(!redisFound)("two engines whose one Redis", () => {
  const stack = useStack();
  let redis: Redis;
  let link: ToxicLink | undefined;
  let house: Awaited<ReturnType<typeof openPair>>;

  beforeAll(async () => {
    redis = await startRedis();
    stack.defer(() => redis.stop());
    if (toxiproxyFound) {
      const toxiproxy = await startToxiproxy();
      stack.defer(toxiproxy.stop);
      link = await toxiproxy.link(redis.url);
    }
    house = await openPair(stack, [link?.url ?? redis.url]);
  });

  test("hangs sell on without a false answer, say so, and lock again when it answers", async () => {
    await house.survives({
      name: "a hung Redis",
      begin: () => redis.pause(),
      isOn: () => house.degradedIs(1),
      end: () => redis.resume(),
    });
  });

  test("is killed sell on, and lock again when an empty one is there at its address", async () => {
    const start = async () => {
      await redis.stop();
      redis = await startRedis(redis.port);
    };
    await house.survives({
      name: "a killed Redis",
      begin: () => redis.kill(),
      isOn: () => house.degradedIs(1),
      end: start,
    });
    await until(
      "the change feed is heard again",
      async () => (await house.metrics()).value("sentinel_feed_up") === 1,
    );
  });

  test("hangs make nobody wait, once it is noticed, and stay ready", async () => {
    const [engine] = house.engines;
    const sellOne = async ({ url } = engine) =>
      expect((await reserve(url, house.nextSeat())).status).toBe(201);
    const secondsInLocks = async () =>
      (await house.metrics()).sum("sentinel_reservation_stage_duration_seconds_sum", { stage: "lock" });
    redis.pause();
    try {
      for (const each of house.engines) await sellOne(each);
      await house.degradedIs(1);
      const before = await secondsInLocks();
      for (let count = 0; count < 20; count++) await sellOne();
      // All of them together not one REDIS_TIMEOUT_MS.
      expect((await secondsInLocks()) - before).toBeLessThan(REDIS_TIMEOUT_MS / 1000);
      const health = await fetch(`${engine.url}/actuator/health`);
      expect([health.status, await health.json()]).toMatchObject([
        200,
        { status: "UP", components: { db: { status: "UP" }, redis: { status: "DOWN" } } },
      ]);
      expect((await fetch(`${engine.url}/health/ready`)).status).toBe(200);
    } finally {
      redis.resume();
    }
    await house.locksInUse();
  });

  describe.skipIf(!toxiproxyFound)("on a bad link", () => {
    const onLink = (): ToxicLink => {
      if (!link) throw new Error("these tests are skipped without Toxiproxy");
      return link;
    };

    test("answers later than REDIS_TIMEOUT_MS sell on without it", async () => {
      await house.survives({
        name: "a Redis slower than its time limit",
        begin: () => onLink().add("latency", { latency: 1.5 * REDIS_TIMEOUT_MS, jitter: 0 }),
        isOn: () => house.degradedIs(1),
        end: () => onLink().heal(),
      });
    });

    test("answers around REDIS_TIMEOUT_MS sell on, with it or without", async () => {
      await house.survives({
        name: "a Redis about as slow as its time limit",
        begin: () =>
          onLink().add("latency", { latency: 0.8 * REDIS_TIMEOUT_MS, jitter: 0.3 * REDIS_TIMEOUT_MS }),
        end: () => onLink().heal(),
      });
    });

    test("resets its connections sell on", async () => {
      await house.survives({
        name: "a Redis that reset its connections",
        begin: () => onLink().add("reset_peer", { timeout: 20 }),
        isOn: () => house.degradedIs(1),
        end: () => onLink().heal(),
      });
    });
  });
});

describe.skipIf(!redisFound)("two engines with a quorum of three masters", () => {
  const stack = useStack();
  let masters: [Redis, Redis, Redis];
  let house: Awaited<ReturnType<typeof openPair>>;

  beforeAll(async () => {
    masters = await Promise.all([startRedis(), startRedis(), startRedis()]);
    for (const position of masters.keys()) stack.defer(() => masters[position]?.stop());
    house = await openPair(
      stack,
      masters.map(({ url }) => url),
    );
  });

  /** Nobody is told of an outage, and each batch has its lock: those that wait for one master too many say so. */
  const locksOn = async () => {
    const secondsInLocks = async () =>
      (await house.metrics()).sum("sentinel_reservation_stage_duration_seconds_sum", { stage: "lock" });
    await house.unlockedOf(1);
    const before = await secondsInLocks();
    expect(await house.unlockedOf(20)).toBe(0);
    // A wait of each of them for one that hangs would be twice as long.
    expect((await secondsInLocks()) - before).toBeLessThan((10 * REDIS_TIMEOUT_MS) / 1000);
    expect((await house.metrics()).value("sentinel_component_up", { component: "redis" })).toBe(1);
  };

  test("of which one is killed lock on with the other two", async () => {
    const [, , third] = masters;
    await third.kill();
    await locksOn();
    await house.survives({
      name: "one of three killed",
      begin: () => undefined,
      end: async () => {
        await third.stop();
        masters[2] = await startRedis(third.port);
      },
    });
  });

  test("of which one hangs lock on with the other two, and wait for it once", async () => {
    const [, second] = masters;
    // The third has just been started: without it the first would be alone.
    await house.mastersUp();
    second.pause();
    await locksOn().finally(() => second.resume());
    await house.survives({
      name: "one of three hung",
      begin: () => second.pause(),
      end: () => second.resume(),
    });
  });

  test("of which two hang sell on without, and lock again when one of them is back", async () => {
    const [first, , third] = masters;
    await house.survives({
      name: "two of three hung",
      begin: () => {
        first.pause();
        third.pause();
      },
      isOn: () => house.degradedIs(1),
      end: () => first.resume(),
    });
    third.resume();
  });
});
