import { expect, test } from "bun:test";
import { Redis as Client } from "ioredis";
import { seatsFrom } from "../engine/buyers.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis, startRedis } from "../fixtures/redis.ts";
import { until } from "../fixtures/until.ts";
import { openHouse } from "../fixtures/use-engine.ts";
import { expectTrueRefusals, openRivalry } from "./rivals.ts";
import { sized } from "./sizes.ts";

// Row 2 of README.md.

const redisFound = await partOrSkip("redis", findRedis);

const SEATS = sized(20_000, 500_000);
/** Seats that two rivals each, one at each engine, ask for at once. */
const PAIRS = 32;
const SEATS_OF_A_PHASE = sized(300, 10_000);
const RESTARTS = sized(1, 10);
const WAIT = { deadlineMs: 60_000 };

test.skipIf(!redisFound)(
  "two engines in a rush, whose Redis is emptied all the time and restarted: every seat has one winner, nobody hears 5xx",
  async () => {
    await using stack = new AsyncDisposableStack();
    let redis = await startRedis();
    stack.defer(() => redis.stop());
    const env = { REDIS_URL: redis.url, RATE_LIMIT_ADDRESS_REQUESTS: "0" };
    const { facts, open } = await openHouse(stack, { seats: SEATS, env });
    const urls = [(await open()).url, (await open()).url];
    const locksInUse = () =>
      until("the locks of both are in use", async () => {
        const all = await Promise.all(urls.map((url) => readMetrics(url)));
        return all.every(({ value }) => value("sentinel_lock_degraded", { thread: "reservation-1" }) === 0);
      });
    const rivalry = openRivalry(urls, seatsFrom(1, SEATS), PAIRS);
    const goesOn = async () => {
      const before = rivalry.decided();
      await until("more is sold", () => rivalry.decided() >= before + SEATS_OF_A_PHASE);
    };

    /** Locks that somebody has believed in are gone, many times in each of his batches. */
    const emptyWhile = async (work: () => Promise<void>) => {
      const client = new Client(redis.url);
      let done = false;
      const storm = (async () => {
        let count = 0;
        for (; !done; count++) await client.flushall();
        return count;
      })();
      await work().finally(() => {
        done = true;
      });
      expect(await storm.finally(() => client.disconnect())).toBeGreaterThan(100);
    };
    for (let restart = 0; restart < RESTARTS; restart++) {
      await locksInUse();
      await emptyWhile(goesOn);
      await redis.kill();
      await goesOn();
      await redis.stop();
      redis = await startRedis(redis.port);
    }
    await locksInUse();
    await emptyWhile(goesOn);
    const answers = await rivalry.stop();
    await expectTrueRefusals(facts, answers);
    await facts.allPublished(WAIT.deadlineMs);
  },
);
