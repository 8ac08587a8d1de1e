import { beforeAll, describe, expect, test } from "bun:test";
import { type Child, startChild } from "../fixtures/child.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { type Database, openDatabase } from "../fixtures/postgres.ts";
import { findPreviousVersion, openPreviousVersion } from "../fixtures/previous-version.ts";
import { findRedis, startRedis } from "../fixtures/redis.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { engineCommand, engineEnvironment, runEngine } from "./command.ts";
import { type Engine, openEngine } from "./engines.ts";
import { type Facts, openFacts } from "./facts.ts";
import { tillAt, tokenOf } from "./reservations.ts";

const previous = await partOrSkip("previous-version", findPreviousVersion);
const redisFound = await partOrSkip("redis", findRedis);

const WAIT = { deadlineMs: 30_000 };
const STOP_TIMEOUT_MS = 15_000;
const SALE_PAUSE_MS = 40;
const LARGE_PRICE = 9_000_000_000_000;

/** The steps of a rolling upgrade, one test each: they build on one another. */
describe.skipIf(!previous)("during a rolling upgrade from the previous version", () => {
  const stack = useStack();
  let database: Database;
  let facts: Facts;
  let folder: string;
  let env: Record<string, string>;
  let old: { child: Child; url: string };
  let engine: Engine;

  beforeAll(async () => {
    database = await openDatabase(stack, "empty");
    facts = await openFacts(stack, database.url);
    folder = await openPreviousVersion(stack, previous ?? "");
    const redis = redisFound ? await startRedis() : undefined;
    if (redis) stack.defer(redis.stop);
    const dir = await openFolder(stack, "rolling");
    env = { DATABASE_URL: database.url, DATA_DIR: dir, ...(redis && { REDIS_URL: redis.url }) };
    old = await startOld();
  });

  async function startOld() {
    const environment = await engineEnvironment(env);
    const child = startChild("the previous version", engineCommand, { cwd: folder, env: environment });
    stack.defer(async () => void (await child.end("SIGTERM", STOP_TIMEOUT_MS)));
    const url = `http://127.0.0.1:${environment.PORT}`;
    await until(
      "the previous version is ready",
      async () => (await fetch(`${url}/health/ready`)).status === 200,
    ).catch((error: unknown) => {
      throw new Error(`${error}\n${child.output()}`);
    });
    return { child, url };
  }

  const post = (url: string, seatId: number) =>
    fetch(`${url}/api/v1/bookings/reserve/${seatId}`, { method: "POST" });

  /** Each seat is asked for at both at the same moment. @returns how often each status was answered. */
  async function sellAtBoth(first: number, count: number): Promise<Record<number, number>> {
    const counts: Record<number, number> = {};
    for (let seatId = first; seatId < first + count; seatId++) {
      const pair = await Promise.all([post(old.url, seatId), post(engine.url, seatId)]);
      const statuses = pair.map(({ status }) => status).sort();
      expect([seatId, statuses]).toEqual([seatId, [201, 409]]);
      for (const { status } of pair) counts[status] = (counts[status] ?? 0) + 1;
    }
    return counts;
  }

  test("the new one migrates beside a long reader, and the old one sells on meanwhile", async () => {
    const answers: number[] = [];
    let isOver = false;
    // Slow enough that there are seats for as long as the migration takes on a busy machine.
    const selling = (async () => {
      for (let seatId = 1; seatId < 480 && !isOver; seatId++) {
        answers.push((await post(old.url, seatId)).status);
        await Bun.sleep(SALE_PAUSE_MS);
      }
    })();
    const reader = await openFacts(stack, database.url);
    await reader.query("begin");
    await reader.query("select count(*) from seats");
    const migrating = runEngine(env, { args: ["migrate"] });
    const waiting =
      "select from pg_stat_activity where datname = current_database() and wait_event = 'relation'";
    await until("the migration waits", async () => (await facts.query(waiting)).length > 0);
    // A migration that waited on for the reader would have every sale wait behind it.
    const before = answers.length;
    await until("20 more seats are asked for", () => answers.length > before + 20);
    await reader.query("commit");
    expect((await migrating).exitCode).toBe(0);
    isOver = true;
    await selling;
    expect(new Set(answers)).toEqual(new Set([201]));
    engine = await openEngine(stack, env);
  });

  test("both sell side by side: one winner a seat, and each confirms what the other has held", async () => {
    expect(await sellAtBoth(500, 50)).toEqual({ 201: 50, 409: 50 });
    for (const [here, there] of [
      [old.url, engine.url],
      [engine.url, old.url],
    ] as const) {
      const seatIds = here === old.url ? [601, 602] : [603, 604];
      const held = await tillAt(here).hold({ seatIds });
      expect([held.status, held.body.total]).toEqual([201, { amountMinor: 30_000, currency: "EUR" }]);
      const extended = await tillAt(there).act("extend", held.body, tokenOf(held.body));
      expect(extended.status).toBe(200);
      const confirmed = await tillAt(there).act("confirm", held.body, tokenOf(held.body));
      expect([confirmed.status, confirmed.body.total]).toEqual([200, held.body.total]);
      expect((await tillAt(here).show(held.body, tokenOf(held.body))).body.status).toBe("CONFIRMED");
    }
  });

  test("the old one can be started again, and sells on", async () => {
    await old.child.end("SIGTERM", STOP_TIMEOUT_MS);
    old = await startOld();
    expect(await sellAtBoth(700, 30)).toEqual({ 201: 30, 409: 30 });
  });

  test("a price that the old one cannot keep is sold by the new one only, and exactly", async () => {
    const key = (await runEngine(env, { args: ["keys", "create", "--role", "admin"] })).stdout.trim();
    const made = await fetch(`${engine.url}/api/v1/admin/events`, {
      method: "POST",
      headers: { "x-api-key": key, "content-type": "application/json" },
      body: JSON.stringify({
        ...{ name: "Rial", currency: "IRR", priceTiers: [{ name: "One", amountMinor: LARGE_PRICE }] },
        sections: [{ name: "A", kind: "assigned", rows: 1, seatsPerRow: 8 }],
      }),
    });
    expect(made.status).toBe(201);
    const { sections } = (await made.json()) as { sections: { firstSeatId: number }[] };
    const first = sections[0]?.firstSeatId ?? 0;
    expect((await post(old.url, first)).status).toBe(503);
    expect((await post(engine.url, first)).status).toBe(201);
    const held = await tillAt(engine.url).hold({ seatIds: [first + 1, first + 2] });
    expect([held.status, held.body.total.amountMinor]).toEqual([201, 2 * LARGE_PRICE]);
    const confirmed = await tillAt(engine.url).act("confirm", held.body, tokenOf(held.body));
    expect([confirmed.status, confirmed.body.total.amountMinor]).toEqual([200, 2 * LARGE_PRICE]);
  });

  test("the new one goes on alone, everything is published, and the sale is proven", async () => {
    await old.child.end("SIGTERM", STOP_TIMEOUT_MS);
    expect((await post(engine.url, 800)).status).toBe(201);
    await facts.allPublished(WAIT.deadlineMs);
    await facts.expectSound();
    const verified = await runEngine(env, { args: ["verify"] });
    expect([verified.exitCode, verified.stdout]).toEqual([0, expect.stringMatching(/\nok, in/)]);
  });
});
