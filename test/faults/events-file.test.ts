import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFile, mkdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { reserve, seatsFrom } from "../engine/buyers.ts";
import { runEngine } from "../engine/command.ts";
import { type Engine, logLines, openEngine } from "../engine/engines.ts";
import { expectPublished, readEvents } from "../engine/events.ts";
import { type Facts, openFacts } from "../engine/facts.ts";
import { readFigures } from "../engine/figures.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { createDatabase } from "../fixtures/postgres.ts";
import { findSmallDisks, openSmallDisks } from "../fixtures/small-disk.ts";
import { tempDir } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { FAULT_TIMEOUT_MS } from "./sizes.ts";

// The events file is deleted, moved, truncated or replaced; its disk is full.

// Parts take seconds to start on a busy machine; what must be quick is measured. Bun keeps this for one file only.
setDefaultTimeout(FAULT_TIMEOUT_MS);

const disksFound = await partOrSkip("small-disks", findSmallDisks);

const ROOT = resolve(import.meta.dir, "../..");
const SEATS = 20_000;
const WAIT = { deadlineMs: 30_000 };
const SOLD_AT_ONCE = 40;

/** Everything sold is acknowledged: the cursor stands at the ledger's end. */
const untilAcknowledged = (facts: Facts) =>
  until(
    async () => {
      const waiting = await facts.query(
        `select 1 from seat_events where (epoch, txid, id) >
           (select epoch, txid, id from ledger_cursors order by updated_at desc limit 1) limit 1`,
      );
      return waiting.length === 0;
    },
    { ...WAIT, what: "nothing waits to be published" },
  );

describe("an engine whose events file", () => {
  const stack = new AsyncDisposableStack();
  const seats = seatsFrom(1, SEATS);
  let env: Record<string, string>;
  let engine: Engine;
  let facts: Facts;
  let file: string;

  beforeAll(async () => {
    const database = await createDatabase();
    stack.defer(database.drop);
    facts = await openFacts(stack, database.url);
    await facts.fill(SEATS);
    const dir = await tempDir("events");
    stack.defer(dir.remove);
    env = { DATABASE_URL: database.url, DATA_DIR: dir.path };
    file = join(dir.path, "booking-events.jsonl");
    engine = await openEngine(stack, env);
  });
  afterAll(() => stack.disposeAsync());

  const sell = async (count = SOLD_AT_ONCE) => {
    for (let sold = 0; sold < count; sold++)
      expect((await reserve(engine.url, seats.next().value ?? 0)).status).toBe(201);
  };
  const published = async () =>
    Number((await facts.query<{ count: string }>("select count(*) from seat_events"))[0]?.count);
  const allAcknowledged = () => untilAcknowledged(facts);
  const figure = async (name: string) => (await readFigures(engine.url)).value(name) ?? Number.NaN;
  const linesInFile = async () => (await readFile(file, "utf8").catch(() => "")).split("\n").length - 1;
  const stands = (status: "UP" | "DOWN", drift: number) =>
    until(
      async () => {
        const { value } = await readFigures(engine.url);
        const health = (await (await fetch(`${engine.url}/actuator/health`)).json()) as {
          components: { events: { status: string } };
        };
        return (
          health.components.events.status === status &&
          value("sentinel_component_up", { component: "events" }) === (status === "UP" ? 1 : 0) &&
          value("sentinel_audit_drift", { part: "file" }) === drift
        );
      },
      { ...WAIT, what: `health says ${status}, the auditor ${drift}` },
    );
  const run = (...args: string[]) => runEngine(env, { args });
  const verify = async () => {
    const { stdout } = await run("verify", "--json");
    const { proofs }: { proofs: { name: string; verdict: string; totals: Record<string, number> }[] } =
      JSON.parse(stdout);
    return proofs.find(({ name }) => name === "events");
  };

  test.each<[string, () => Promise<unknown>]>([
    ["is copied and truncated", () => copyFile(file, `${file}.2`).then(() => truncate(file))],
    ["is replaced by another", () => writeFile(`${file}.3`, "").then(() => rename(`${file}.3`, file))],
    ["is deleted with its folder", () => rm(join(file, ".."), { recursive: true })],
  ])(
    "%s says so, goes on in the file at the path, and publishes again what is missing there",
    async (_name, damage) => {
      await sell();
      await allAcknowledged();
      await stands("UP", 0);
      const before = logLines(engine).length;
      const gone = await linesInFile();
      expect(gone).toBe(await published());

      await damage();
      await sell();
      await allAcknowledged();
      await stands("DOWN", 1);
      // What was acknowledged since lies in the file that a reader of the path finds.
      expect(await linesInFile()).toBeGreaterThanOrEqual(SOLD_AT_ONCE);
      const told = logLines(engine).slice(before);
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
        await expectPublished(facts, await readEvents({ file }, { atLeast: await published(), ...WAIT })),
      ).toBe(0);
    },
  );

  test("is a folder now says so once, and goes on when that is gone", async () => {
    const before = logLines(engine).length;
    await rename(file, `${file}.4`);
    await mkdir(file);
    await sell();
    await until(async () => (await figure("sentinel_publish_failures_total")) > 3, {
      ...WAIT,
      what: "it fails",
    });
    await rm(file, { recursive: true });
    await rename(`${file}.4`, file);
    await allAcknowledged();
    await stands("UP", 0);
    const told = logLines(engine).slice(before);
    expect(told.filter(({ msg }) => msg.includes("sink is unavailable"))).toHaveLength(1);
    expect(told.filter(({ msg }) => msg.includes("sink is available again"))).toHaveLength(1);
    expect((await verify())?.verdict).toBe("proven");
  });
});

describe.skipIf(!disksFound)("an engine whose events file is on a full disk", () => {
  test("logs one line when that begins and one when there is room, and loses nothing", async () => {
    await using stack = new AsyncDisposableStack();
    const database = await createDatabase();
    stack.defer(database.drop);
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
      (await readFigures(engine.url)).value(name, labels);
    await sell(20);
    await until(async () => (await figure("sentinel_ledger_backlog_rows")) === 0, {
      ...WAIT,
      what: "published",
    });
    const before = logLines(engine).length;
    await disk.fill();
    await until(
      async () => (await sell(5)) ?? (await figure("sentinel_component_up", { component: "events" })) === 0,
      { ...WAIT, what: "the full disk is noticed" },
    );
    const failures = async () => (await figure("sentinel_publish_failures_total")) ?? 0;
    const failed = await failures();
    await until(async () => (await failures()) > failed + 5, {
      ...WAIT,
      what: "it is tried again and again",
    });
    await disk.free();
    await until(async () => (await figure("sentinel_ledger_backlog_rows")) === 0, {
      ...WAIT,
      what: "published",
    });
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
