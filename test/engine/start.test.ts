import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chown, readdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { describeConfig } from "../../src/config/config.ts";
import { startChild } from "../fixtures/child.ts";
import { freePort } from "../fixtures/free-port.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { type Database, openDatabase } from "../fixtures/postgres.ts";
import { startProxy } from "../fixtures/proxy.ts";
import { findSmallDisks, openSmallDisks } from "../fixtures/small-disk.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { bodyOf, reserve } from "./buyers.ts";
import {
  asOrdinaryUser,
  type Ended,
  engineCommand,
  engineEnvironment,
  ORDINARY_USER,
  runEngine,
} from "./command.ts";
import { type Engine, openEngine } from "./engines.ts";
import { readEvents } from "./events.ts";
import { openFacts } from "./facts.ts";

const ROOT = join(import.meta.dir, "../..");
const FAULT_DEADLINE_MS = 20_000;
const WAIT = { deadlineMs: 30_000 };
const ordinaryUser = asOrdinaryUser();
const smallDisks = await partOrSkip("small-disks", findSmallDisks);

/** One line on stderr that begins with the variable and says what to do, a failing exit code, in time. */
function expectFault(ended: Ended, variable: string, told: RegExp): void {
  expect(ended.stderr).toMatch(new RegExp(`^sentinel: ${variable}: .+\n$`));
  expect(ended.stderr).toMatch(told);
  expect(ended.exitCode).toBe(1);
  expect(ended.ms).toBeLessThan(FAULT_DEADLINE_MS);
  expect(ended.stdout + ended.stderr).not.toMatch(/\bat .+:\d+:\d+/);
}

const stack = useStack();
let database: Database;
/** Of an engine that needs a folder only for its events. */
let dataDir: string;

beforeAll(async () => {
  database = await openDatabase(stack, "empty");
  dataDir = await openFolder(stack, "start");
});

/** The shared database's URL with something changed. */
function databaseUrl(change: Partial<Pick<URL, "host" | "password" | "username" | "pathname">>): string {
  return Object.assign(new URL(database.url), change).href;
}

describe("an engine that cannot start says why in one line", () => {
  test("a port is taken, and nothing is set up for that", async () => {
    const port = await freePort();
    await using own = new AsyncDisposableStack();
    const server = createServer().listen(port, "127.0.0.1");
    own.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
    const home = join(await openFolder(own, "start"), "data");
    for (const [variable, env] of [
      ["PORT", {}],
      ["PORT", { WEB_CONCURRENCY: "2" }],
      ["MANAGEMENT_PORT", {}],
    ] as const) {
      const ended = await runEngine({ DATA_DIR: home, [variable]: String(port), ...env });
      expectFault(
        ended,
        variable,
        new RegExp(`${port} is taken by another process: stop that one, or set ${variable} to`),
      );
      expect(existsSync(home)).toBe(false);
    }
  });

  test("a setting has a value that it cannot have", async () => {
    const ended = await runEngine({
      DATABASE_URL: database.url,
      DATA_DIR: dataDir,
      STATEMENT_TIMEOUT_MS: "2s",
    });
    expectFault(ended, "STATEMENT_TIMEOUT_MS", /must be/);
  });

  test("the host is not this machine's", async () => {
    const ended = await runEngine({ DATABASE_URL: database.url, DATA_DIR: dataDir, HOST: "192.0.2.1" });
    expectFault(ended, "HOST", /192\.0\.2\.1/);
  });

  test("the database is not there", async () => {
    const url = databaseUrl({ host: `127.0.0.1:${await freePort()}` });
    expectFault(await runEngine({ DATABASE_URL: url, DATA_DIR: dataDir }), "DATABASE_URL", /ECONNREFUSED/);
  });

  test("the database does not answer", async () => {
    await using own = new AsyncDisposableStack();
    const proxy = await startProxy(database.url);
    own.defer(proxy.stop);
    proxy.hang();
    expectFault(await runEngine({ DATABASE_URL: proxy.url, DATA_DIR: dataDir }), "DATABASE_URL", /timeout/i);
  });

  test("the database's name is wrong", async () => {
    const url = databaseUrl({ pathname: "/no_such_database" });
    expectFault(
      await runEngine({ DATABASE_URL: url, DATA_DIR: dataDir }),
      "DATABASE_URL",
      /no_such_database/,
    );
  });

  test("the database's URL is malformed, and its password is not told", async () => {
    const ended = await runEngine({
      DATABASE_URL: "mysql://shop:s3cret@127.0.0.1/sentinel",
      DATA_DIR: dataDir,
    });
    expectFault(ended, "DATABASE_URL", /URL/);
    expect(ended.stdout + ended.stderr).not.toContain("s3cret");
  });

  test("the database's password is wrong, and neither it nor the right one is told", async () => {
    const { password } = new URL(database.url);
    const ended = await runEngine({
      DATABASE_URL: databaseUrl({ password: "n0t-the-passw0rd" }),
      DATA_DIR: dataDir,
    });
    expectFault(ended, "DATABASE_URL", /password authentication failed/);
    expect(ended.stdout + ended.stderr).not.toMatch(new RegExp(`n0t-the-passw0rd|${password}`));
  });

  test("its threads would need more connections than Postgres gives", async () => {
    const ended = await runEngine({
      ...{ DATABASE_URL: database.url, DATA_DIR: dataDir },
      ...{ RESERVATION_WORKERS: "64", BATCHES_PER_WORKER: "16" },
    });
    expectFault(ended, "RESERVATION_WORKERS", /need 1165 connections/);
  });

  test("the data folder is a file", async () => {
    await using own = new AsyncDisposableStack();
    const file = join(await openFolder(own, "start"), "file");
    await writeFile(file, "");
    expectFault(await runEngine({ DATA_DIR: file }), "DATA_DIR", /choose/);
    expectFault(await runEngine({ DATA_DIR: join(file, "below") }), "DATA_DIR", /choose/);
  });

  test("the data folder is one where nobody may write", async () => {
    expectFault(await runEngine({ DATA_DIR: "/proc/sentinel" }), "DATA_DIR", /choose/);
  });

  test.skipIf(!ordinaryUser?.length)("the data folder is another user's", async () => {
    await using own = new AsyncDisposableStack();
    const ended = await runEngine(
      { DATA_DIR: await openFolder(own, "start"), HOME: "/" },
      { as: ordinaryUser ?? [] },
    );
    expectFault(ended, "DATA_DIR", /choose/);
  });

  test.skipIf(!smallDisks)("the disk of the data folder is full", async () => {
    await using own = new AsyncDisposableStack();
    const [disk] = await openSmallDisks(own, [8]);
    if (!disk) throw new Error("no disk");
    // A folder that Postgres's own user cannot walk to, as below root's home.
    const inPrivate = [
      ...["sh", "-c", 'cd "$0" && mkdir -m 700 "$1" && shift && exec "$@"'],
      ...[ROOT, join(disk.path, "private")],
    ];
    const home = join(disk.path, "private/data");
    const ended = await runEngine({ DATA_DIR: home }, { as: [...disk.inside, ...inPrivate] });
    expectFault(ended, "DATA_DIR", /No space left on device/);
    expect(ended.stderr).toContain(home);
    expect(ended.stderr).not.toContain("/proc/self/cwd");
  });

  test("it is asked for something that it does not know", async () => {
    const ended = await runEngine({}, { args: ["--nonsense"] });
    expect(ended.stderr).toMatch(/^sentinel: .*--nonsense.*\n$/);
    expect(ended.exitCode).toBe(1);
  });
});

describe("an engine that is asked about itself", () => {
  test("lists every variable with its default for --help", async () => {
    const { exitCode, stdout, stderr } = await runEngine({}, { args: ["--help"] });
    expect([exitCode, stderr]).toEqual([0, ""]);
    const rows = describeConfig();
    expect(rows.length).toBeGreaterThan(15);
    for (const { variable, fallback } of rows) {
      expect(stdout).toMatch(new RegExp(`^ +${variable} .*\\[${RegExp.escape(fallback)}\\]$`, "m"));
    }
  });

  test("prints the package's version for --version", async () => {
    const { exitCode, stdout, stderr } = await runEngine({}, { args: ["--version"] });
    expect([exitCode, stdout, stderr]).toEqual([0, `${packageJson.version}\n`, ""]);
  });
});

describe("an engine starts", () => {
  test("as a database user who owns nothing but the database", async () => {
    await using own = new AsyncDisposableStack();
    const admin = await openFacts(own, database.url);
    await admin.query("create role shop login password 'shop'");
    own.defer(async () => void (await admin.query("drop role shop")));
    const shops = await openDatabase(own, "empty");
    const name = new URL(shops.url).pathname.slice(1);
    await admin.query(`alter database ${name} owner to shop`);
    const url = Object.assign(new URL(shops.url), { username: "shop", password: "shop" }).href;
    const engine = await openEngine(own, { DATABASE_URL: url });
    expect((await reserve(engine.url, 2)).status).toBe(201);
  });

  test("together with a second one on one empty database, which is seeded once", async () => {
    await using own = new AsyncDisposableStack();
    const empty = await openDatabase(own, "empty");
    const engines = await Promise.all([1, 2].map(() => openEngine(own, { DATABASE_URL: empty.url })));
    const facts = await openFacts(own, empty.url);
    expect(await facts.query("select name from events")).toEqual([{ name: "Grand Central Concert 2025" }]);
    expect(await facts.query("select count(*)::int, max(id)::int from seats")).toEqual([
      { count: 1000, max: 1000 },
    ]);
    expect(await facts.query("select epoch from ledger_epochs")).toEqual([{ epoch: 1 }]);
    for (const [index, { url }] of engines.entries()) {
      expect((await reserve(url, index + 2)).status).toBe(201);
    }
  });

  test.skipIf(!ordinaryUser)("as an ordinary user, and keeps its secrets from others", async () => {
    await using own = new AsyncDisposableStack();
    const home = await openFolder(own, "start");
    if (ordinaryUser?.length) await chown(home, ORDINARY_USER, ORDINARY_USER);
    const env = { DATA_DIR: join(home, "data"), HOME: home };
    const engine = await openEngine(own, env, { inside: ordinaryUser ?? [] });
    expect((await reserve(engine.url, 2)).status).toBe(201);
    const { uid, mode } = await Bun.file(join(env.DATA_DIR, "postgres/sentinel.password")).stat();
    expect([uid, mode & 0o777]).toEqual([
      ordinaryUser?.length ? ORDINARY_USER : (process.getuid?.() ?? -1),
      0o600,
    ]);
    expect(await engine.stop()).toBe(0);
  });
});

describe("the DATA_DIR of a running engine", () => {
  const own = useStack();
  let env: { DATA_DIR: string };
  let first: Engine;

  beforeAll(async () => {
    env = { DATA_DIR: await openFolder(own, "start") };
    first = await openEngine(own, env);
  });

  test("is not shared with a second one, which names the first, and the first sells on", async () => {
    expectFault(await runEngine(env), "DATA_DIR", new RegExp(`in use by the process with id ${first.pid}:`));
    expect((await reserve(first.url, 2)).status).toBe(201);
  });

  test("has everything as it was after a restart", async () => {
    const won = await reserve(first.url, 7);
    expect(won.status).toBe(201);
    expect(await first.stop()).toBe(0);

    const second = await openEngine(own, env);
    expect(bodyOf(await reserve(second.url, 7))).toMatchObject({ status: "TAKEN", reason: "reserved" });
    expect((await reserve(second.url, 8)).status).toBe(201);
    const events = await readEvents(
      { file: join(env.DATA_DIR, "booking-events.jsonl") },
      { ...WAIT, atLeast: 3 },
    );
    expect(events.map(({ key }) => key)).toEqual(["2", "7", "8"]);
    expect(events[1]?.value.reservationId).toBe(bodyOf(won).reservationId ?? "");
  });
});

describe("an engine on an empty DATA_DIR", () => {
  test("that was killed while it created its database starts over the next time", async () => {
    await using own = new AsyncDisposableStack();
    const home = await openFolder(own, "start");
    const env = await engineEnvironment({ DATA_DIR: home });
    const child = startChild("the engine", engineCommand, { cwd: ROOT, env });
    own.defer(() => child.kill());
    await until("a database is being made", async () => (await readdir(home)).length > 0);
    await child.kill();
    expect(existsSync(join(home, "postgres"))).toBe(false);
    const engine = await openEngine(own, { DATA_DIR: home });
    expect((await reserve(engine.url, 2)).status).toBe(201);
    await engine.stop();
  });

  test("that two want a moment apart is given to one; the other says so; and the data can be opened again", async () => {
    await using own = new AsyncDisposableStack();
    const home = await openFolder(own, "start");
    const start = async () => {
      const env = await engineEnvironment({ DATA_DIR: home });
      const child = startChild("the engine", engineCommand, { cwd: ROOT, env });
      own.defer(() => child.kill());
      return { child, url: `http://127.0.0.1:${env.PORT}` };
    };
    const first = await start();
    await until("a database is being made", async () => (await readdir(home)).length > 0);
    const both = [first, await start()];
    const loser = await until("one of them gives up", () =>
      both.find(({ child }) => child.exitCode() !== undefined),
    );
    expect(loser.child.output()).toMatch(/^sentinel: DATA_DIR: .+\n$/);
    const winner = both.find((each) => each !== loser) ?? loser;
    await until("the other sells", async () => (await reserve(winner.url, 2)).status === 201);
    expect(await winner.child.end("SIGTERM", 15_000)).toBe(0);
    const again = await openEngine(own, { DATA_DIR: home });
    expect(bodyOf(await reserve(again.url, 2))).toMatchObject({ status: "TAKEN" });
    await again.stop();
  });
});
