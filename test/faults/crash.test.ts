import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Answer, bodyOf, openSale, reserve, seatsFrom } from "../engine/buyers.ts";
import { openEngine } from "../engine/engines.ts";
import { expectPublished, readEvents } from "../engine/events.ts";
import type { Facts } from "../engine/facts.ts";
import { randomFrom, seedOf } from "../engine/random.ts";
import { findKafka } from "../fixtures/kafka.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis } from "../fixtures/redis.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { useHouse } from "../fixtures/use-engine.ts";
import { sized } from "./sizes.ts";

// Row 4 of README.md at random moments: the route of the contract.

await partOrSkip("redis", findRedis);
await partOrSkip("kafka", findKafka);

const SEATS = sized(30_000, 100_000);
const BUYERS = 64;
const CRASHES = sized(2, 30);
const WINS_BEFORE_CRASH = { fewest: 200, most: 1200 };
const WAIT = { deadlineMs: 30_000 };

/** Whatever a buyer was promised is in the ledger under that very reservation, and no buyer was promised twice. */
function expectKept(answers: Answer[], ledger: Awaited<ReturnType<Facts["ledger"]>>): void {
  const rows = new Set(ledger.map((row) => `${row.seatId} ${row.version} ${row.reservationId}`));
  const won = answers.filter(({ status }) => status === 201).map(bodyOf);
  const lost = won.filter((body) => !rows.has(`${body.seatId} ${body.version} ${body.reservationId}`));
  expect(lost).toEqual([]);
  expect(new Set(won.map(({ reservationId }) => reservationId)).size).toBe(won.length);
}

describe("an engine that is killed in full flow, again and again", () => {
  const house = useHouse({ needs: ["redis", "kafka"], seats: SEATS });

  test("keeps every promise: each 201 is in Postgres and in Kafka, one row a change, nothing twice", async () => {
    const { facts, events } = house;
    const random = randomFrom(seedOf("crash.test.ts"));

    const seats = seatsFrom(1, SEATS);
    const answers: Answer[] = [];
    for (let crash = 1; crash <= CRASHES; crash++) {
      const engine = await house.open();
      const sale = openSale(engine.url, seats, BUYERS);
      const { fewest, most } = WINS_BEFORE_CRASH;
      const wins = fewest + Math.floor(random() * (most - fewest));
      await until(`${wins} seats are sold`, () => sale.won() >= wins);
      await engine.kill();
      answers.push(...(await sale.stop()));
    }
    // The crashes were in full flow, or they prove little.
    expect(answers.some(({ status }) => status === 0)).toBe(true);
    expect(answers.filter(({ status }) => status === 409 || status === 404 || status === 500)).toEqual([]);

    const survivor = await house.open();
    // Seats whose buyer heard nothing are either sold or free, and the free ones can be sold.
    for (const { seatId } of answers.filter(({ status }) => status === 0).slice(0, 20)) {
      const again = await reserve(survivor.url, seatId);
      const row = (await facts.seats()).get(seatId);
      expect([201, 409]).toContain(again.status);
      expect(row?.status).toBe("reserved");
      answers.push(again);
    }
    await facts.allPublished(WAIT.deadlineMs);
    await facts.expectSound();
    const ledger = await facts.ledger();
    expectKept(answers, ledger);
    await expectPublished(facts, await readEvents(events, { ...WAIT, atLeast: ledger.length }));
  });
});

test("an engine with everything embedded, killed in full flow, keeps every promise in its DATA_DIR", async () => {
  await using stack = new AsyncDisposableStack();
  const dataDir = await openFolder(stack, "crash");
  const env = { DATA_DIR: dataDir };

  const engine = await openEngine(stack, env);
  const sale = openSale(engine.url, seatsFrom(1, 1000), BUYERS);
  await until("150 seats are sold", () => sale.won() >= 150);
  await engine.kill();
  const answers = await sale.stop();

  // Its Postgres may still be ending: the next start waits for the folder.
  const survivor = await openEngine(stack, env);
  const promised = answers.filter(({ status }) => status === 201);
  for (const { seatId } of promised.slice(-20)) {
    expect(bodyOf(await reserve(survivor.url, seatId))).toMatchObject({
      status: "TAKEN",
      reason: "reserved",
    });
  }
  const file = join(dataDir, "booking-events.jsonl");
  const published = async () => {
    const events = await readEvents({ file }, { ...WAIT, atLeast: promised.length });
    return new Map(events.map(({ value }) => [value.reservationId, value.seatId]));
  };
  await until("an event for every seat that was promised", async () => {
    const events = await published();
    return promised.map(bodyOf).every(({ reservationId = "" }) => events.has(reservationId));
  });
});
