import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { histogram, openSale } from "../engine/buyers.ts";
import { exitCodeOf, openEngine } from "../engine/engines.ts";
import { expectPublished, readEvents } from "../engine/events.ts";
import {
  type OnSale,
  openTheatre,
  type Theatre,
  tillAt,
  tokenOf,
  UNLIMITED,
} from "../engine/reservations.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis, type Redis, startRedis } from "../fixtures/redis.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { listen } from "../live/listener.ts";
import { openPipelines } from "./pipelined-buyers.ts";
import { sized } from "./sizes.ts";

// Row 13 of README.md: SIGTERM under load of every kind, with each part in trouble (Kafka: kafka-away.test.ts).

const redisFound = await partOrSkip("redis", findRedis);

const BUYERS = 16;
const PIPELINES = 4;
const REQUESTS_OF_A_PIPELINE = 20;
const CONTESTED_SEATS = 400;
const SHOPS = 4;
const LISTENERS = 5;
const TIMES = sized(1, 15);
const SHUTDOWN_TIMEOUT_MS = 10_000;

/** Statuses, each once. */
const kindsOf = (statuses: number[]) => [...new Set(statuses)].sort();

describe("an engine that is told to end under load", () => {
  const stack = useStack();
  let theatre: Theatre;
  let house: OnSale;
  let redis: Redis | undefined;
  let next = 0;
  const nextSeat = () => house.seats[next++] ?? 0;

  beforeAll(async () => {
    theatre = await openTheatre(stack);
    house = await theatre.addEvent({ rows: sized(150, 1500), seatsPerRow: 200 });
    redis = redisFound ? await startRedis() : undefined;
    stack.defer(async () => redis?.stop());
  });

  /** Baskets of two, held and confirmed. */
  const openShops = (url: string) => {
    const till = tillAt(url);
    const statuses: number[] = [];
    let stopped = false;
    const shop = async () => {
      while (!stopped) {
        const held = await till.hold({ seatIds: [nextSeat(), nextSeat()] });
        statuses.push(held.status);
        // A request after the signal may find the port closed.
        if (held.status === 201 && !stopped)
          statuses.push((await till.act("confirm", held.body, tokenOf(held.body))).status);
      }
    };
    const ended = Promise.all(Array.from({ length: SHOPS }, shop)).then(() => statuses);
    ended.catch(() => undefined);
    return {
      answered: () => statuses.length,
      stop: () => {
        stopped = true;
        return ended;
      },
    };
  };

  const slowDatabase = async () => {
    await theatre.facts.query(
      `create function be_slow() returns trigger language plpgsql as
       $$ begin perform pg_sleep(0.3); return null; end $$`,
    );
    await theatre.facts.query(
      "create trigger be_slow after insert on seat_events for each statement execute function be_slow()",
    );
  };
  const troubles: [string, () => unknown, () => unknown][] = [
    ["and nothing else is wrong", () => undefined, () => undefined],
    ["while Postgres is slow", slowDatabase, () => theatre.facts.query("drop function be_slow() cascade")],
    ["while Redis hangs", () => redis?.pause(), () => redis?.resume()],
  ];

  for (const [when, begin, end] of troubles) {
    test(`${when}: every request is answered, streams end in order, all is published and the exit code is 0`, async () => {
      for (let time = 0; time < TIMES; time++) await endOnce(begin, end);
    });
  }

  async function endOnce(begin: () => unknown, end: () => unknown) {
    const dataDir = await openFolder(stack, "told-to-end");
    const engine = await openEngine(stack, {
      ...{ DATABASE_URL: theatre.databaseUrl, DATA_DIR: dataDir, ...UNLIMITED },
      ...(redis && { REDIS_URL: redis.url }),
      SHUTDOWN_TIMEOUT_MS: String(SHUTDOWN_TIMEOUT_MS),
    });
    const listeners = await Promise.all(
      Array.from({ length: LISTENERS }, () => listen(engine.url, { eventId: house.eventId })),
    );
    const from = next;
    next += 5000;
    const sale = openSale(engine.url, house.seats.slice(from, next), BUYERS);
    // The same ones again and again: a client whose connection is ended at once would ask for the whole house.
    const contested = house.seats.slice(next, next + CONTESTED_SEATS);
    next += CONTESTED_SEATS;
    let turn = 0;
    const nextContested = () => contested[turn++ % CONTESTED_SEATS] ?? 0;
    const pipelines = openPipelines(engine.url, nextContested, PIPELINES, REQUESTS_OF_A_PIPELINE);
    const shops = openShops(engine.url);
    const goesOn = async () => {
      const before = [sale.won(), pipelines.answered(), shops.answered()];
      const haveMore = () =>
        [sale.won(), pipelines.answered(), shops.answered()].every(
          (count, index) => count > (before[index] ?? 0),
        );
      await until("all kinds of buyers are answered", haveMore);
    };
    await goesOn();
    await begin();
    try {
      await goesOn();
      const toldAt = performance.now();
      process.kill(engine.pid, "SIGTERM");
      // In the same turn: who asks now had begun before the signal.
      const [answers, pipelined, held] = await Promise.all([sale.stop(), pipelines.stop(), shops.stop()]);
      expect(await exitCodeOf(engine)).toBe(0);
      expect(performance.now() - toldAt).toBeLessThan(SHUTDOWN_TIMEOUT_MS);
      const { 201: won = 0, 503: refused = 0 } = histogram(answers);
      expect(won + refused).toBe(answers.length);
      // Bun ends a connection whose next request comes before its answer: such a client harms itself alone.
      expect(kindsOf(pipelined).filter((status) => ![0, 201, 409, 503].includes(status))).toEqual([]);
      expect(kindsOf(held).filter((status) => ![200, 201, 503].includes(status))).toEqual([]);
      for (const listener of listeners) {
        expect(listener.hasEnded()).toBe(true);
        expect(listener.heard.length).toBeGreaterThan(0);
      }
    } finally {
      await end();
    }
    await theatre.expectSound();
    const events = { file: join(dataDir, "booking-events.jsonl") };
    // Nothing is waited for: what is not in the file at the exit was left behind.
    const { length } = await theatre.facts.ledger();
    await expectPublished(theatre.facts, await readEvents(events, { deadlineMs: 1000, atLeast: length }));
  }
});
