import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { urlOfRunningPostgres } from "../../src/parts/postgres.ts";
import { rulesText } from "../../src/proof/rules/rules.ts";
import { asOrdinaryUser, runEngine } from "../engine/command.ts";
import { type Engine, openEngine } from "../engine/engines.ts";
import { type Facts, openFacts } from "../engine/facts.ts";
import { openDatabase } from "../fixtures/postgres.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";

const DEADLINE_MS = 10_000;
const ordinaryUser = asOrdinaryUser();
const stack = useStack();

let env: { DATA_DIR: string };
let engine: Engine;
let facts: Facts;
beforeAll(async () => {
  const dir = await openFolder(stack, "verify");
  env = { DATA_DIR: dir };
  engine = await openEngine(stack, env);
  const url = new URL((await urlOfRunningPostgres(dir)) ?? "");
  url.pathname = "/sentinel";
  facts = await openFacts(stack, url.href);
});

const verify = (...args: string[]) => runEngine(env, { args: ["verify", ...args] });
const verifyWith = (other: Record<string, string>, ...args: string[]) =>
  runEngine(other, { args: ["verify", ...args] });
const reserve = (seatId: number) =>
  fetch(`${engine.url}/api/v1/bookings/reserve/${seatId}`, { method: "POST" });

describe("bun run verify", () => {
  test("proves a sale while it goes on", async () => {
    let isOver = false;
    const selling = (async () => {
      for (let seatId = 1; !isOver && seatId < 900; seatId += 10)
        await Promise.all(Array.from({ length: 10 }, (_, index) => reserve(seatId + index)));
    })();
    const runs = [await verify(), await verify()];
    isOver = true;
    await selling;
    for (const { exitCode, stdout } of runs) {
      expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/\nok, in [\d.]+ s\n$/)]);
      for (const name of ["ledger", "seats", "reservations", "references", "chain", "events"])
        expect(stdout).toMatch(new RegExp(`^${name} +ok `, "m"));
    }
  });

  test("prints a head that a later run finds again, as JSON too", async () => {
    await facts.allPublished(DEADLINE_MS);
    const { stdout } = await verify();
    const anchor = /--anchor (\d+:\S+)/.exec(stdout)?.[1] ?? "none";
    await reserve(950);
    await facts.allPublished(DEADLINE_MS);
    const later = await verify("--anchor", anchor, "--json");
    expect(later.exitCode).toBe(0);
    const { verdict, anchor: now, proofs } = JSON.parse(later.stdout);
    expect([verdict, proofs.length]).toEqual(["proven", 6]);
    expect(Number(now.split(":")[0])).toBe(Number(anchor.split(":")[0]) + 1);
    const other = `${anchor.split(":")[0]}:${Buffer.alloc(32).toString("base64")}`;
    expect((await verify("--anchor", other)).exitCode).toBe(1);
  });

  test("names damage, and exits with 1", async () => {
    await facts.query("update seats set version = version + 1 where id = 950");
    const plain = await verify();
    expect(plain.exitCode).toBe(1);
    expect(plain.stdout).toMatch(/^seats +FAILED /m);
    expect(plain.stdout).toMatch(/^the ledger ends before the seat does \(1\)\n {2}seat 950, version 2, /m);
    const asJson = await verify("--json");
    expect(asJson.exitCode).toBe(1);
    expect(JSON.parse(asJson.stdout)).toMatchObject({ verdict: "damaged" });
    await facts.query("update seats set version = version - 1 where id = 950");
    expect((await verify()).exitCode).toBe(0);
  });

  test("works where no engine runs any more, and leaves no Postgres running", async () => {
    await engine.stop();
    expect(await verify()).toMatchObject({ exitCode: 0, stderr: "" });
    expect(existsSync(join(env.DATA_DIR, "postgres/postmaster.pid"))).toBe(false);
  });

  test("says what it does and how it ends", async () => {
    const { exitCode, stdout } = await verify("--help");
    expect(exitCode).toBe(0);
    expect(stdout).toContain("Exit code: 0 proven, 1 damage found, 2 not all could be checked.");
    expect(stdout).toContain(rulesText());
  });

  test.each<[string, () => Promise<Record<string, string>>, string[], string]>([
    ["there is no database", async () => ({ DATA_DIR: "/nonexistent/data" }), [], "DATABASE_URL: not set"],
    [
      "the database does not answer",
      async () => ({ DATABASE_URL: "postgres://nobody:nothing@127.0.0.1:9/none" }),
      [],
      "ECONNREFUSED",
    ],
    [
      "the database is not one of this version",
      async () => {
        const database = await openDatabase(stack, "empty");
        return { DATABASE_URL: database.url };
      },
      [],
      "does not exist",
    ],
    [
      "Kafka does not answer",
      async () => {
        const database = await openDatabase(stack);
        return { DATABASE_URL: database.url, KAFKA_BROKERS: "127.0.0.1:9" };
      },
      [],
      "ECONNREFUSED",
    ],
    [
      "the events file is a folder",
      async () => {
        const database = await openDatabase(stack);
        const dir = await openFolder(stack, "folder");
        await mkdir(join(dir, "booking-events.jsonl"));
        return { DATABASE_URL: database.url, DATA_DIR: dir };
      },
      [],
      "booking-events.jsonl is not a regular file",
    ],
    ["an anchor is not one", async () => ({}), ["--anchor", "12:abc"], "--anchor must be"],
    ["a variable cannot be used", async () => ({ PORT: "x" }), [], "PORT: "],
  ])("exits with 2 and says why where %s", async (_case, environment, args, words) => {
    const { exitCode, stdout, stderr } = await verifyWith(await environment(), ...args);
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(words);
    expect(stderr).not.toContain("nothing@");
  });

  test.skipIf(!ordinaryUser)("and republish name what they may not read, and report no damage", async () => {
    const database = await openDatabase(stack);
    const dir = await openFolder(stack, "closed");
    const folder = join(dir, "data");
    const file = join(folder, "booking-events.jsonl");
    await mkdir(folder);
    await writeFile(file, "");
    for (const [closed, mode, env] of [
      [file, 0o000, { DATABASE_URL: database.url, DATA_DIR: folder }],
      [folder, 0o000, { DATA_DIR: folder }],
    ] as const) {
      await chmod(closed, mode);
      for (const args of [["verify"], ["republish"]]) {
        const ended = await runEngine({ ...env, HOME: "/" }, { args, as: ordinaryUser ?? [] });
        expect([ended.exitCode, ended.stdout]).toEqual([2, ""]);
        expect(ended.stderr).toMatch(/^sentinel: (republish: )?DATA_DIR: .+ run this as the .*user.*\n$/);
        expect(ended.stderr).toContain(closed);
      }
      await chmod(closed, 0o755);
    }
  });

  test("says so as JSON too", async () => {
    const { exitCode, stdout } = await verify("--json", "--anchor", "none");
    expect([exitCode, JSON.parse(stdout)]).toEqual([
      2,
      { verdict: "unproven", fault: expect.stringContaining("--anchor must be") },
    ]);
  });
});
