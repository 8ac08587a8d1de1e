import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import pg from "pg";
import { histogram, openSale, type Sale, seatsFrom } from "../engine/buyers.ts";
import { type Engine, logLines, openEngine } from "../engine/engines.ts";
import { expectPublished, readEvents } from "../engine/events.ts";
import { type Facts, openFacts } from "../engine/facts.ts";
import { openOwnPostgres } from "../engine/own-postgres.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { reserveOne } from "../postgres/sale.ts";
import { sized } from "./sizes.ts";
import { addSeats } from "./truth.ts";

// Row 8 of README.md: commits that are late with lower ids; long writers, elsewhere too, and prepared ones.

const SEATS = sized(40_000, 500_000);
const BUYERS = 4;
const SOLD_IN_A_PHASE = sized(200, 5000);
const WAIT = { deadlineMs: sized(40_000, 300_000) };
/** A writer that is older is named in the log. */
const NAMED_AFTER_SECONDS = 10;
/** One after the other, beside the sale: how often a transaction commits after those that began later. */
const LATE_COMMITS = sized(20, 500);

describe("two engines beside writers that take their time", () => {
  const stack = useStack();
  const seats = seatsFrom(1001, SEATS);
  const nextSeat = () => seats.next().value ?? 0;
  let databaseUrl: string;
  let facts: Facts;
  let engines: [Engine, Engine];
  let eventsFile: string;

  beforeAll(async () => {
    const postgres = await openOwnPostgres(stack);
    databaseUrl = postgres.url;
    const settings = await sessionOf(databaseUrl);
    await settings.query("alter system set max_prepared_transactions = 5");
    await settings.query("create database reports");
    await postgres.stop();
    await postgres.start();
    const dataDir = await openFolder(stack, "late");
    eventsFile = join(dataDir, "booking-events.jsonl");
    const env = { DATABASE_URL: databaseUrl, DATA_DIR: dataDir };
    engines = [await openEngine(stack, env), await openEngine(stack, env)];
    facts = await openFacts(stack, databaseUrl);
    await addSeats(facts, SEATS);
  });

  /** A session of an operator or of another program. */
  async function sessionOf(url: string, name = "a test") {
    const pool = new pg.Pool({ connectionString: url, application_name: name, max: 1 });
    pool.on("error", () => undefined);
    stack.defer(() => pool.end());
    const client = await pool.connect();
    client.on("error", () => undefined);
    stack.defer(() => client.release(true));
    return client;
  }

  const openSales = () => {
    const sales = engines.map(({ url }) => openSale(url, seats, BUYERS));
    const goOn = async () => {
      const before = sales.map((sale) => sale.won());
      const haveMore = (sale: Sale, index: number) => sale.won() >= (before[index] ?? 0) + SOLD_IN_A_PHASE;
      await until("both engines sell on", () => sales.every(haveMore));
    };
    const stop = async () => {
      const answers = (await Promise.all(sales.map((sale) => sale.stop()))).flat();
      expect(histogram(answers)).toEqual({ 201: answers.length });
    };
    return { goOn, stop };
  };
  /** Of the engine that publishes. */
  const gauge = async (name: string) => {
    const all = await Promise.all(engines.map(({ url }) => readMetrics(url)));
    return Math.max(...all.map(({ value }) => value(name) ?? 0));
  };
  const gaugeIs = (name: string, holds: (value: number) => boolean, what: string) =>
    until(what, async () => holds(await gauge(name)));
  const expectEverythingPublished = async () => {
    await facts.allPublished(WAIT.deadlineMs);
    await facts.expectSound();
    const { length } = await facts.ledger();
    const events = await readEvents({ file: eventsFile }, { ...WAIT, atLeast: length });
    expect(await expectPublished(facts, events)).toBe(0);
  };

  test("publish what is committed after later ones, again and again, in order and without loss", async () => {
    const sales = openSales();
    const session = await sessionOf(databaseUrl);
    for (let time = 0; time < LATE_COMMITS; time++) {
      await session.query("begin");
      expect((await reserveOne(session, nextSeat(), 0)).verdict).toBe("won");
      const [{ id } = { id: 0 }] = await facts.query<{ id: number }>(
        "select max(id)::int as id from seat_events",
      );
      await until("later rows are committed before it", async () => {
        const [newest] = await facts.query<{ id: number }>("select max(id)::int as id from seat_events");
        return (newest?.id ?? 0) > id + 20;
      });
      await session.query("commit");
    }
    await sales.goOn();
    await sales.stop();
    await expectEverythingPublished();
  });

  test("sell on beside a long writer here, in another database and a prepared one, name each, and then publish all", async () => {
    const elsewhere = await sessionOf(databaseUrl.replace(/\/[^/]*$/, "/reports"), "monthly report");
    const preparing = await sessionOf(databaseUrl);
    const here = await sessionOf(databaseUrl, "late seller");
    // The oldest is the one that is named.
    await elsewhere.query("begin");
    await elsewhere.query("create table figures (total int)");
    await preparing.query("begin");
    await reserveOne(preparing, nextSeat(), 0);
    await preparing.query("prepare transaction 'late prepared'");
    await here.query("begin");
    await reserveOne(here, nextSeat(), 0);
    const culprits = [
      { isNamed: /monthly report.*in database reports/, end: () => elsewhere.query("commit") },
      {
        isNamed: /prepared transaction late prepared in database/,
        end: () => preparing.query("commit prepared 'late prepared'"),
      },
      { isNamed: /late seller.*in database/, end: () => here.query("commit") },
    ];

    const sales = openSales();
    for (const { isNamed, end } of culprits) {
      await sales.goOn();
      await gaugeIs(
        "sentinel_ledger_horizon_seconds",
        (seconds) => seconds > NAMED_AFTER_SECONDS,
        "the gauge tells how long it takes",
      );
      await gaugeIs("sentinel_ledger_backlog_rows", (rows) => rows >= SOLD_IN_A_PHASE, "the backlog is told");
      const named = () =>
        engines
          .flatMap(logLines)
          .some(({ msg, culprit }) => msg.includes("delays publishing") && isNamed.test(culprit ?? ""));
      await until(`the log has ${isNamed}`, named);
      await end();
    }
    await sales.goOn();
    await sales.stop();
    await expectEverythingPublished();
    await gaugeIs("sentinel_ledger_horizon_seconds", (seconds) => seconds === 0, "nobody holds it back");
    await gaugeIs("sentinel_ledger_backlog_rows", (rows) => rows === 0, "nothing waits");
  });
});
