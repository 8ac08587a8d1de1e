import { describe, expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { partOrSkip } from "../fixtures/parts.ts";
import { startProxy } from "../fixtures/proxy.ts";
import { findRedis } from "../fixtures/redis.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { openHouse, useEngine } from "../fixtures/use-engine.ts";
import { bodyOf, reserve } from "./buyers.ts";
import { openEngine } from "./engines.ts";
import { tillAt, UNLIMITED } from "./reservations.ts";
import { readMetrics } from "./scraped-metrics.ts";

// Whether memory may refuse a seat by itself, for engines on one database that do not hear each other.

const SEATS_GIVEN_BACK = 40;
/** Longer than any wait of an engine that cannot give back what is in doubt. */
const OUTAGE_MS = 10_500;
const redisFound = await partOrSkip("redis", findRedis);

/** The first engine on its database, without a Redis that others have too. */
const first = useEngine({ env: UNLIMITED });
let nextSeat = 1;

const fromMemory = async ({ url }: { url: string }) =>
  (await readMetrics(url)).sum("sentinel_filter_hits_total");

/** Whether the engine refuses a sold seat without asking Postgres. */
async function refusesFromMemory(engine: { url: string }, seatId: number): Promise<boolean> {
  const before = await fromMemory(engine);
  expect(bodyOf(await reserve(engine.url, seatId))).toMatchObject({ status: "TAKEN", reason: "reserved" });
  return (await fromMemory(engine)) > before;
}

/** Sells seats at `first` and has it refuse each once. */
async function sell(count: number): Promise<{ seatIds: number[]; reservationIds: string[] }> {
  const seatIds = Array.from({ length: count }, () => nextSeat++);
  const answers = await Promise.all(seatIds.map((seatId) => reserve(first.url, seatId)));
  expect(answers.map(({ status }) => status)).toEqual(seatIds.map(() => 201));
  await Promise.all(seatIds.map((seatId) => reserve(first.url, seatId)));
  return { seatIds, reservationIds: answers.map((answer) => bodyOf(answer).reservationId ?? "") };
}

/** Another engine, which gives these seats back: as one does that died before it knew of its sales. */
async function openGiver(own: AsyncDisposableStack, sold: object, env: Record<string, string> = {}) {
  const dir = await openFolder(own, "giver");
  await mkdir(dir, { recursive: true });
  await Bun.write(join(dir, "unresolved.jsonl"), `\n${JSON.stringify({ began: sold })}\n`);
  return openEngine(own, { DATABASE_URL: first.databaseUrl, DATA_DIR: dir, ...env });
}

const areFree = async (seatIds: number[]) => {
  const seats = await first.facts.seats();
  return seatIds.every((seatId) => seats.get(seatId)?.status === "available");
};

describe("an engine that does not hear the others on its database", () => {
  test("refuses sold seats from memory while it is alone, and again once it is alone again", async () => {
    const { seatIds } = await sell(1);
    const [seatId = 0] = seatIds;
    await until("memory is trusted", () => refusesFromMemory(first, seatId));
    await using own = new AsyncDisposableStack();
    const second = await openEngine(own, { DATABASE_URL: first.databaseUrl });
    await until("it sees the second", async () => !(await refusesFromMemory(first, seatId)));
    expect(await refusesFromMemory(second, seatId)).toBe(false);
    await second.stop();
    await until("memory is trusted again", () => refusesFromMemory(first, seatId));
  });

  test("sells a seat again from the moment on that an engine which joined has given it back", async () => {
    const sold = await sell(SEATS_GIVEN_BACK);
    await until("memory is trusted", () => refusesFromMemory(first, sold.seatIds[0] ?? 0));
    await using own = new AsyncDisposableStack();
    const [giver] = await Promise.all([
      openGiver(own, sold),
      until("the seats are given back", () => areFree(sold.seatIds)),
    ]);
    const again = await Promise.all(sold.seatIds.map((seatId) => reserve(first.url, seatId)));
    expect(again.map((answer) => [answer.status, bodyOf(answer).version])).toEqual(
      sold.seatIds.map(() => [201, 3]),
    );
    await giver.stop();
  });

  test("believes nothing that it knew before it was stopped for a while", async () => {
    const sold = await sell(1);
    const [seatId = 0] = sold.seatIds;
    await until("memory is trusted", () => refusesFromMemory(first, seatId));
    process.kill(first.engine.pid, "SIGSTOP");
    try {
      await using own = new AsyncDisposableStack();
      await openGiver(own, sold);
      await until("the seat is given back", () => areFree(sold.seatIds));
    } finally {
      // The giver has ended: nobody is there whom the first look could find.
      process.kill(first.engine.pid, "SIGCONT");
    }
    const again = await reserve(first.url, seatId);
    expect([again.status, bodyOf(again).version]).toEqual([201, 3]);
  });
});

test("sells a seat again that is given back after an outage, by an engine whose sessions are all new", async () => {
  const sold = await sell(SEATS_GIVEN_BACK);
  const [seatId = 0] = sold.seatIds;
  await using own = new AsyncDisposableStack();
  const link = await startProxy(first.databaseUrl);
  own.defer(link.stop);
  const looksAtLost = link.holdWhen('"seatId", version from seat_events', "toServer");
  const giver = openGiver(own, sold, { DATABASE_URL: link.url });
  (await looksAtLost).cut();
  link.cut();
  const backAt = performance.now() + OUTAGE_MS;
  await until("the outage is long", () => performance.now() > backAt);
  await until("memory is trusted", () => refusesFromMemory(first, seatId));
  link.heal();
  await until("the seats are given back", () => areFree(sold.seatIds));
  const again = await Promise.all(sold.seatIds.map((each) => reserve(first.url, each)));
  expect(again.map(({ status }) => status)).toEqual(sold.seatIds.map(() => 201));
  await giver;
});

describe.skipIf(!redisFound)("engines with one Redis", () => {
  test("refuse sold seats from memory until one comes with another Redis, whose sales they show too", async () => {
    await using own = new AsyncDisposableStack();
    const { open, databaseUrl } = await openHouse(own, { needs: ["redis"] });
    const pair = await Promise.all([open(), open()]);
    const [seller] = pair;
    expect((await reserve(seller.url, 1)).status).toBe(201);
    for (const engine of pair) await until("memory is trusted", () => refusesFromMemory(engine, 1));
    // One that starts a Redis of its own, or finds none.
    const stranger = await openEngine(own, { DATABASE_URL: databaseUrl });
    for (const engine of pair) {
      await until("the stranger is seen", async () => !(await refusesFromMemory(engine, 1)));
    }
    // Their maps show what it sells, although no message tells them.
    expect((await reserve(stranger.url, 2)).status).toBe(201);
    for (const engine of pair) {
      await until(
        "its sale is on the map",
        async () => (await tillAt(engine.url).map(1)).get(2) === "reserved",
      );
    }
  });
});
