import { beforeAll, describe, expect, test } from "bun:test";
import { reserve } from "../engine/buyers.ts";
import { exitCodeOf, openEngine } from "../engine/engines.ts";
import { openFacts } from "../engine/facts.ts";
import { openOwnPostgres } from "../engine/own-postgres.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { useStack } from "../fixtures/stack.ts";
import { until, untilWithin } from "../fixtures/until.ts";
import { openSelling } from "../fixtures/use-engine.ts";
import { openLedgerWriter } from "./ledger-writer.ts";
import { type Listener, listen, listenAsleep } from "./listener.ts";

const MEBIBYTE = 1024 * 1024;

async function openSale(stack: AsyncDisposableStack, env: Record<string, string> = {}) {
  const sale = await openSelling(stack, { seats: 100, env: { RESERVATION_WORKERS: "1", ...env } });
  return { ...sale, writer: await openLedgerWriter(stack, sale.databaseUrl) };
}

const stack = useStack();
/** A stream of an event where nothing happens while another is busy; first of all, because its sign of life takes 15 s. */
let silent: Awaited<ReturnType<typeof openSale>> & { listener: Listener };
let readyId: string | undefined;

beforeAll(async () => {
  const sale = await openSale(stack, { IDLE_TIMEOUT_SECONDS: "5" });
  silent = { ...sale, listener: await listen(sale.url) };
  readyId = (await silent.listener.hears(1, "ready"))[0]?.id;
  await sale.writer.write([5], 2);
});

test("a client more than CHANGE_STREAM_LIMIT is told when to come back, and may when another has gone", async () => {
  await using stack = new AsyncDisposableStack();
  const { engine } = await openSale(stack, { CHANGE_STREAM_LIMIT: "2" });
  const [first] = [await listen(engine.url), await listen(engine.url)];
  const third = await listen(engine.url);
  expect([third.status, (await third.problem()).type]).toEqual([503, "urn:sentinel:problem:unavailable"]);
  expect(third.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
  await first.cut();
  await until("there is room", async () => (await listen(engine.url)).status === 200);
});

describe("clients that stop reading", () => {
  const SLEEPERS = 12;
  /** Some 11 MB for each: more than the system's socket buffers and what may be owed together. */
  const CHANGES = 95_000;
  /** Without waiting for heartbeats that find no room, which takes half a minute. */
  const SOON_MS = 5000;

  test("are dropped with a reason while all others hear everything, and cost no memory of their own", async () => {
    await using stack = new AsyncDisposableStack();
    const { engine, writer } = await openSale(stack);
    const awake = [await listen(engine.url), await listen(engine.url)];
    const before = (await readMetrics(engine.url)).value("process_resident_memory_bytes") ?? 0;
    const asleep = await Promise.all(Array.from({ length: SLEEPERS }, () => listenAsleep(engine.url)));
    for (let written = 0; written < CHANGES; written += 5000) await writer.flood(5000);
    for (const listener of awake) {
      const heard = await listener.hears(CHANGES);
      expect(new Set(heard.map(({ id }) => id)).size).toBe(CHANGES);
    }
    const after = await untilWithin(SOON_MS, "the sleepers are dropped", async () => {
      const metrics = await readMetrics(engine.url);
      return metrics.value("sentinel_change_streams") === awake.length && metrics;
    });
    expect(after.value("sentinel_change_stream_drops_total", { reason: "slow-consumer" })).toBe(SLEEPERS);
    const grown = (after.value("process_resident_memory_bytes") ?? 0) - before;
    console.log(`pressure.test.ts: ${Math.round(grown / MEBIBYTE)} MiB more`);
    expect(grown).toBeLessThan(100 * MEBIBYTE);
    const [sleeper] = asleep;
    const last = (await sleeper?.readAll())?.split("\n\n").at(-2);
    expect(last).toEndWith('event: dropped\ndata: {"reason":"slow-consumer"}');
    for (const each of asleep) each.close();
    for (const listener of awake) await listener.cut();
  });
});

test("an engine that ends says so to everybody and is not held up by them, not even by those who do not read", async () => {
  await using stack = new AsyncDisposableStack();
  const { engine, writer } = await openSale(stack, { DRAIN_DELAY_MS: "0" });
  const listeners = await Promise.all(Array.from({ length: 20 }, () => listen(engine.url)));
  for (const listener of listeners) await listener.hears(1, "ready");
  const sleeper = await listenAsleep(engine.url);
  for (let written = 0; written < 30_000; written += 5000) await writer.flood(5000);
  await listeners[0]?.hears(30_000);
  const startedAt = performance.now();
  process.kill(engine.pid, "SIGTERM");
  for (const listener of listeners) {
    const [closing] = await listener.hears(1, "closing");
    expect(closing?.data).toEqual({ reason: "shutdown" });
    await until("the stream ends", () => listener.hasEnded());
  }
  expect(await exitCodeOf(engine)).toBe(0);
  expect(performance.now() - startedAt).toBeLessThan(5000);
  sleeper.close();
});

test("keeps streams open while Postgres is down, and misses nothing afterwards", async () => {
  await using stack = new AsyncDisposableStack();
  const postgres = await openOwnPostgres(stack);
  const engine = await openEngine(stack, { DATABASE_URL: postgres.url, RESERVATION_WORKERS: "1" });
  const facts = await openFacts(stack, postgres.url);
  const sells = (seatId: number) =>
    until("it sells", async () => (await reserve(engine.url, seatId)).status === 201);
  const leaving = await listen(engine.url);
  await leaving.hears(1, "ready");
  await leaving.cut();
  const noneListens = async () => (await readMetrics(engine.url)).value("sentinel_change_streams") === 0;
  await until("nobody listens", noneListens);
  await sells(1);
  const [row] = await facts.query<{ id: string }>(
    "select epoch || '-' || txid || '-' || id as id from seat_events",
  );
  const staying = await listen(engine.url, { lastEventId: row?.id ?? "" });
  await sells(2);
  await staying.hears(1);

  await postgres.stop();
  await until("the engine knows", async () => (await fetch(`${engine.url}/health/ready`)).status === 503);
  // What this one missed is not in memory: reading it waits, and is no reason to send it away.
  const returning = await listen(engine.url, { lastEventId: leaving.lastId() });
  expect(returning.status).toBe(200);
  expect(staying.hasEnded()).toBe(false);
  await postgres.start();
  const writer = await openLedgerWriter(stack, postgres.url);
  await writer.write([3]);
  await sells(4);

  expect((await staying.hears(3)).map(({ data }) => data.seatId)).toEqual([2, 3, 4]);
  expect((await returning.hears(4)).map(({ data }) => data.seatId)).toEqual([1, 2, 3, 4]);
  for (const listener of [staying, returning]) {
    expect(listener.heard.map(({ event }) => event)).not.toContain("reset");
    await listener.cut();
  }
});

test("answers the first client with Retry-After while Postgres is down, and serves it afterwards", async () => {
  await using stack = new AsyncDisposableStack();
  const postgres = await openOwnPostgres(stack);
  const engine = await openEngine(stack, { DATABASE_URL: postgres.url, RESERVATION_WORKERS: "1" });
  await postgres.stop();
  const refused = await Promise.all([listen(engine.url), listen(engine.url)]);
  for (const { status, headers, problem } of refused) {
    expect([status, (await problem()).type]).toEqual([503, "urn:sentinel:problem:unavailable"]);
    expect(headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
  }
  await postgres.start();
  const listener = await until("it may listen", async () => {
    const asked = await listen(engine.url);
    return asked.status === 200 && asked;
  });
  await listener.hears(1, "ready");
  await listener.cut();
});

test("tells all clients to start over when the database continues elsewhere", async () => {
  await using stack = new AsyncDisposableStack();
  const { engine, facts, writer } = await openSale(stack);
  const [staying, leaving] = [await listen(engine.url), await listen(engine.url)];
  await writer.write([1]);
  for (const listener of [staying, leaving]) await listener.hears(1);
  await leaving.cut();
  await facts.query(
    "insert into ledger_epochs (epoch, system_identifier, timeline) select max(epoch) + 1, 'another', 1 from ledger_epochs",
  );
  const [reset] = await staying.hears(1, "reset");
  expect(reset?.data).toEqual({ reason: "restored" });
  await writer.write([1]);
  expect((await staying.hears(2))[1]?.data).toMatchObject({ seatId: 1, version: 2 });
  const returning = await listen(engine.url, { lastEventId: leaving.lastId() });
  expect((await returning.hears(1, "reset"))[0]?.data).toEqual({ reason: "restored" });
  for (const listener of [staying, returning]) await listener.cut();
});

test("a silent stream outlives IDLE_TIMEOUT_SECONDS, and its id moves on with what other events do", async () => {
  const { listener, writer } = silent;
  await until("a sign of life", () => listener.comments() > 0);
  expect(listener.hasEnded()).toBe(false);
  expect(listener.lastId()).not.toBe(readyId ?? "");
  expect(listener.heard.length).toBe(1);
  await writer.write([5], 1);
  await listener.hears(1);
  await listener.cut();
});
