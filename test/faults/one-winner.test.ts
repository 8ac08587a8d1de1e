import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Answer, bodyOf, histogram, reserve, reserveAtOnce } from "../engine/buyers.ts";
import { type Engine, openEngine } from "../engine/engines.ts";
import { type EventPlace, expectPublished, readEvents } from "../engine/events.ts";
import { type Facts, openFacts } from "../engine/facts.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { findKafka, startKafka } from "../fixtures/kafka.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { openDatabase } from "../fixtures/postgres.ts";
import { findRedis, startRedis } from "../fixtures/redis.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";

// Row 1 of README.md, and that every event is there once when nothing goes wrong. 10,000 at once: ten-thousand.test.ts;
// without Redis: redis-lost.test.ts.

const redisFound = await partOrSkip("redis", findRedis);
const kafkaFound = await partOrSkip("kafka", findKafka);

const EVENTS_DEADLINE_MS = 30_000;

interface House {
  facts: Facts;
  engines: [Engine, Engine];
  events: EventPlace;
}

/** Two engine processes on one database, and on one Redis and one Kafka where there are such. */
async function openHouse(
  stack: AsyncDisposableStack,
  options: { redisUrl: string | undefined; kafkaBrokers: string | undefined },
): Promise<House> {
  const database = await openDatabase(stack, "empty");
  const dataDir = await openFolder(stack, "house");
  const env = {
    DATABASE_URL: database.url,
    DATA_DIR: dataDir,
    ...(options.redisUrl && { REDIS_URL: options.redisUrl }),
    ...(options.kafkaBrokers && { KAFKA_BROKERS: options.kafkaBrokers }),
  };
  const engines: House["engines"] = [await openEngine(stack, env), await openEngine(stack, env)];
  return {
    facts: await openFacts(stack, database.url),
    engines,
    events: options.kafkaBrokers
      ? { brokers: options.kafkaBrokers }
      : { file: join(dataDir, "booking-events.jsonl") },
  };
}

/** One of these answers won the seat, and all others were told so. */
function expectOneWinner(answers: Answer[], seatId: number): Answer {
  expect(histogram(answers)).toEqual({ 201: 1, ...(answers.length > 1 && { 409: answers.length - 1 }) });
  const [winner] = answers.filter(({ status }) => status === 201);
  if (!winner) throw new Error("nobody won");
  expect(bodyOf(winner)).toMatchObject({ seatId, status: "SUCCESS", version: 1 });
  for (const answer of answers) {
    if (answer === winner) continue;
    expect(bodyOf(answer)).toEqual({
      message: "Seat is already taken",
      seatId,
      status: "TAKEN",
      reason: expect.stringMatching(/^(reserved|contended)$/),
    });
  }
  return winner;
}

/** One row, one version, one reservation: the winner's. */
async function expectSoldTo(facts: Facts, winner: Answer): Promise<void> {
  const { seatId } = winner;
  const { reservationId } = bodyOf(winner);
  expect(
    await facts.query("select status, version, reservation_id from seats where id = $1", [seatId]),
  ).toEqual([{ status: "reserved", version: 1, reservation_id: reservationId }]);
  expect(
    await facts.query("select version, status, reservation_id from seat_events where seat_id = $1", [seatId]),
  ).toEqual([{ version: 1, status: "RESERVED", reservation_id: reservationId }]);
  expect(
    await facts.query("select status, seat_count from reservations where id = $1", [reservationId]),
  ).toEqual([{ status: "confirmed", seat_count: 1 }]);
}

/** 200 buyers, half at each process, four for each of 50 seats. */
async function raceOverFifty({ facts, engines }: House, firstSeat: number): Promise<void> {
  const requests = Array.from({ length: 200 }, (_, buyer) => ({
    url: engines[buyer % 2 === 0 ? 0 : 1].url,
    seatId: firstSeat + (Math.floor(buyer / 2) % 50),
  }));
  const answers = await (await reserveAtOnce(requests)).answers;
  expect(histogram(answers)).toEqual({ 201: 50, 409: 150 });
  for (let seatId = firstSeat; seatId < firstSeat + 50; seatId++) {
    const winner = expectOneWinner(
      answers.filter((answer) => answer.seatId === seatId),
      seatId,
    );
    await expectSoldTo(facts, winner);
  }
  await facts.expectSound();
}

describe("two engines on one Postgres, Redis and Kafka", () => {
  const stack = useStack();
  let house: House;

  beforeAll(async () => {
    const [redis, kafka] = await Promise.all([
      redisFound ? startRedis() : undefined,
      kafkaFound ? startKafka() : undefined,
    ]);
    if (redis) stack.defer(redis.stop);
    if (kafka) stack.defer(kafka.stop);
    house = await openHouse(stack, { redisUrl: redis?.url, kafkaBrokers: kafka?.brokers });
  });

  test("sell 50 seats to 200 racers at both: 50 winners, each seat once", () => raceOverFifty(house, 100));

  test.skipIf(!redisFound)("a seat sold by one is refused by the other from memory", async () => {
    const [{ url: here }, { url: there }] = house.engines;
    const hits = async () =>
      (await readMetrics(there)).value("sentinel_filter_hits_total", { reason: "reserved" }) ?? 0;
    let seatId = 200;
    await until(
      "a first request is refused from memory", // A new seat each time: a refusal by the database teaches the other as well, and would prove nothing.
      async () => {
        const before = await hits();
        seatId++;
        expect((await reserve(here, seatId)).status).toBe(201);
        const answer = await reserve(there, seatId);
        expect(bodyOf(answer)).toMatchObject({ status: "TAKEN" });
        return (await hits()) === before + 1;
      },
    );
  });

  test("publish exactly one event for each of these seats", async () => {
    await house.facts.allPublished(EVENTS_DEADLINE_MS);
    const ledger = await house.facts.ledger();
    expect(ledger.length).toBeGreaterThan(50);
    const events = await readEvents(house.events, { atLeast: ledger.length, deadlineMs: EVENTS_DEADLINE_MS });
    expect(await expectPublished(house.facts, events)).toBe(0);
    expect(events).toHaveLength(ledger.length);
    const [first] = events.filter(({ value }) => value.seatId === 100);
    expect(first).toMatchObject({
      key: "100",
      value: { seatId: 100, status: "RESERVED", version: 1, eventId: 1 },
      headers: { ce_specversion: "1.0", ce_id: "100:1", ce_type: "sentinel.seat.reserved" },
    });
    expect(Math.abs(Date.now() - (first?.value.timestamp ?? 0))).toBeLessThan(120_000);
  });
});
