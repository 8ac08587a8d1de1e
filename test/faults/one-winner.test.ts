import { beforeAll, describe, expect, test } from "bun:test";
import { type Answer, bodyOf, histogram, reserve, reserveAtOnce } from "../engine/buyers.ts";
import type { Engine } from "../engine/engines.ts";
import { expectPublished, readEvents } from "../engine/events.ts";
import type { Facts } from "../engine/facts.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { findKafka } from "../fixtures/kafka.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis } from "../fixtures/redis.ts";
import { until } from "../fixtures/until.ts";
import { useHouse } from "../fixtures/use-engine.ts";

// Row 1 of README.md, and that every event is there once when nothing goes wrong. 10,000 at once: ten-thousand.test.ts;
// without Redis: redis-lost.test.ts.

const redisFound = await partOrSkip("redis", findRedis);
await partOrSkip("kafka", findKafka);

const EVENTS_DEADLINE_MS = 30_000;

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

describe("two engines on one Postgres, Redis and Kafka", () => {
  const house = useHouse({ needs: ["redis", "kafka"] });
  let engines: [Engine, Engine];
  beforeAll(async () => {
    engines = [await house.open(), await house.open()];
  });

  /** 200 buyers, half at each engine, as many for each of the seats. */
  test.each([
    ["one seat", 90, 1],
    ["50 seats", 100, 50],
  ])("sell %s to 200 racers at both: one winner a seat", async (_, firstSeat, seatCount) => {
    const requests = Array.from({ length: 200 }, (_, buyer) => ({
      url: engines[buyer % 2 === 0 ? 0 : 1].url,
      seatId: firstSeat + (Math.floor(buyer / 2) % seatCount),
    }));
    const answers = await (await reserveAtOnce(requests)).answers;
    expect(histogram(answers)).toEqual({ 201: seatCount, 409: 200 - seatCount });
    for (const [seatId, ofSeat] of Map.groupBy(answers, (answer) => answer.seatId))
      await expectSoldTo(house.facts, expectOneWinner(ofSeat, seatId));
    await house.facts.expectSound();
  });

  test.skipIf(!redisFound)("a seat sold by one is refused by the other from memory", async () => {
    const [{ url: here }, { url: there }] = engines;
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
