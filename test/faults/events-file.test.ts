import { describe, expect, test } from "bun:test";
import { copyFile, mkdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { reserve, seatsFrom } from "../engine/buyers.ts";
import { runEngine } from "../engine/command.ts";
import { logLines, openEngine } from "../engine/engines.ts";
import { expectPublished, readEvents } from "../engine/events.ts";
import { type Facts, openFacts } from "../engine/facts.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { openDatabase } from "../fixtures/postgres.ts";
import { findSmallDisks, openSmallDisks } from "../fixtures/small-disk.ts";
import { until } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";

// The events file is deleted, moved, truncated or replaced; its disk is full.

const disksFound = await partOrSkip("small-disks", findSmallDisks);

const ROOT = resolve(import.meta.dir, "../..");
const SEATS = 20_000;
const WAIT = { deadlineMs: 30_000 };
const SOLD_AT_ONCE = 40;

/** Everything sold is acknowledged: the cursor stands at the ledger's end. */
const untilAcknowledged = (facts: Facts) =>
  until("nothing waits to be published", async () => {
    const waiting = await facts.query(
      `select 1 from seat_events where (epoch, txid, id) >
           (select epoch, txid, id from ledger_cursors order by updated_at desc limit 1) limit 1`,
    );
    return waiting.length === 0;
  });

describe("an engine whose events file", () => {
  const sale = useEngine({ seats: SEATS });
  const seats = seatsFrom(1, SEATS);

  const sell = async (count = SOLD_AT_ONCE) => {
    for (let sold = 0; sold < count; sold++)
      expect((await reserve(sale.url, seats.next().value ?? 0)).status).toBe(201);
  };
  const published = async () =>
    Number((await sale.facts.query<{ count: string }>("select count(*) from seat_events"))[0]?.count);
  const allAcknowledged = () => untilAcknowledged(sale.facts);
  const figure = async (name: string) => (await readMetrics(sale.url)).value(name) ?? Number.NaN;
  const linesInFile = async () =>
    (await readFile(sale.eventsFile, "utf8").catch(() => "")).split("\n").length - 1;
  const stands = (status: "UP" | "DOWN", drift: number) =>
    until(`health says ${status}, the auditor ${drift}`, async () => {
      const { value } = await readMetrics(sale.url);
      const health = (await (await fetch(`${sale.url}/actuator/health`)).json()) as {
        components: { events: { status: string } };
      };
      return (
        health.components.events.status === status &&
        value("sentinel_component_up", { component: "events" }) === (status === "UP" ? 1 : 0) &&
        value("sentinel_audit_drift", { part: "file" }) === drift
      );
    });
  const run = (...args: string[]) => runEngine(sale.env, { args });
  const verify = async () => {
    const { stdout } = await run("verify", "--json");
    const { proofs }: { proofs: { name: string; verdict: string; totals: Record<string, number> }[] } =
      JSON.parse(stdout);
    return proofs.find(({ name }) => name === "events");
  };

  test.each<[string, () => Promise<unknown>]>([
    [
      "is copied and truncated",
      () => copyFile(sale.eventsFile, `${sale.eventsFile}.2`).then(() => truncate(sale.eventsFile)),
    ],
    [
      "is replaced by another",
      () => writeFile(`${sale.eventsFile}.3`, "").then(() => rename(`${sale.eventsFile}.3`, sale.eventsFile)),
    ],
    ["is deleted with its folder", () => rm(join(sale.eventsFile, ".."), { recursive: true })],
  ])(
    "%s says so, goes on in the file at the path, and publishes again what is missing there",
    async (_name, damage) => {
      await sell();
      await allAcknowledged();
      await stands("UP", 0);
      const before = logLines(sale.engine).length;
      const gone = await linesInFile();
      expect(gone).toBe(await published());

      await damage();
      await sell();
      await allAcknowledged();
      await stands("DOWN", 1);
      // What was acknowledged since lies in the file that a reader of the path finds.
      expect(await linesInFile()).toBeGreaterThanOrEqual(SOLD_AT_ONCE);
      // On a busy machine Redis may come and go.
      const told = logLines(sale.engine)
        .slice(before)
        .filter(({ msg }) => !msg.startsWith("Redis "));
      expect(told.map(({ msg }) => msg.split(":")[0])).toEqual([
        "the event sink is unavailable",
        "the event sink is available again",
        "drift",
      ]);
      expect(told[0]?.error).toMatch(/deleted or moved|truncated|replaced/);
      expect(await verify()).toMatchObject({
        verdict: "damaged",
        totals: { "a published ledger row has no event": gone },
      });

      const dry = await run("republish");
      expect([dry.exitCode, dry.stdout]).toEqual([1, expect.stringContaining(`${gone} published events`)]);
      expect(await run("republish", "--apply")).toMatchObject({ exitCode: 0 });
      await stands("UP", 0);
      await allAcknowledged();
      expect(await verify()).toMatchObject({ verdict: "proven", totals: {} });
      expect(
        await expectPublished(
          sale.facts,
          await readEvents({ file: sale.eventsFile }, { atLeast: await published(), ...WAIT }),
        ),
      ).toBe(0);
    },
  );

  test("is a folder now says so once, and goes on when that is gone", async () => {
    const before = logLines(sale.engine).length;
    await rename(sale.eventsFile, `${sale.eventsFile}.4`);
    await mkdir(sale.eventsFile);
    await sell();
    await until("it fails", async () => (await figure("sentinel_publish_failures_total")) > 3);
    await rm(sale.eventsFile, { recursive: true });
    await rename(`${sale.eventsFile}.4`, sale.eventsFile);
    await allAcknowledged();
    await stands("UP", 0);
    const told = logLines(sale.engine).slice(before);
    expect(told.filter(({ msg }) => msg.includes("sink is unavailable"))).toHaveLength(1);
    expect(told.filter(({ msg }) => msg.includes("sink is available again"))).toHaveLength(1);
    expect((await verify())?.verdict).toBe("proven");
  });
});

describe.skipIf(!disksFound)("an engine whose events file is on a full disk", () => {
  test("logs one line when that begins and one when there is room, and loses nothing", async () => {
    await using stack = new AsyncDisposableStack();
    const database = await openDatabase(stack);
    const facts = await openFacts(stack, database.url);
    await facts.fill(SEATS);
    const [disk] = await openSmallDisks(stack, [4]);
    if (!disk) throw new Error("a disk was asked for");
    const inside = [...disk.inside, "env", "-C", ROOT];
    const engine = await openEngine(stack, { DATABASE_URL: database.url, DATA_DIR: disk.path }, { inside });
    const seats = seatsFrom(1, SEATS);
    const sell = async (count: number) => {
      for (let sold = 0; sold < count; sold++)
        expect((await reserve(engine.url, seats.next().value ?? 0)).status).toBe(201);
    };
    const figure = async (name: string, labels?: Record<string, string>) =>
      (await readMetrics(engine.url)).value(name, labels);
    await sell(20);
    await until("published", async () => (await figure("sentinel_ledger_backlog_rows")) === 0);
    const before = logLines(engine).length;
    await disk.fill();
    await until(
      "the full disk is noticed",
      async () => (await sell(5)) ?? (await figure("sentinel_component_up", { component: "events" })) === 0,
    );
    const failures = async () => (await figure("sentinel_publish_failures_total")) ?? 0;
    const failed = await failures();
    await until("it is tried again and again", async () => (await failures()) > failed + 5);
    await disk.free();
    await until("published", async () => (await figure("sentinel_ledger_backlog_rows")) === 0);
    expect(
      logLines(engine)
        .slice(before)
        .map(({ msg, error }) => [msg.split(":")[0], error]),
    ).toEqual([
      ["the event sink is unavailable", expect.stringContaining("ENOSPC")],
      ["the event sink is available again", undefined],
    ]);
    const { stdout, exitCode } = await runEngine(
      { DATABASE_URL: database.url, DATA_DIR: disk.path },
      { args: ["verify"], as: inside },
    );
    expect([exitCode, stdout]).toEqual([0, expect.stringContaining("events")]);
  });
});
