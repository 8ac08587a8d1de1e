import { beforeAll, describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { startChild } from "../fixtures/child.ts";
import { freePort } from "../fixtures/free-port.ts";
import { type Database, openDatabase } from "../fixtures/postgres.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { histogram, reserve, reserveAtOnce } from "./buyers.ts";
import { type Ended, engineCommand, engineEnvironment, runEngine } from "./command.ts";
import { logLines, openEngine } from "./engines.ts";
import { openFacts } from "./facts.ts";
import { isAlive, processesOf } from "./processes.ts";

const ROOT = resolve(import.meta.dir, "../..");
const STOP_TIMEOUT_MS = 15_000;
const TWO = { WEB_CONCURRENCY: "2" };

const stack = useStack();
let database: Database;
let dataDir: string;

beforeAll(async () => {
  database = await openDatabase(stack, "empty");
  dataDir = await openFolder(stack, "processes");
});

/** One line on stderr for however many processes, and a failing exit code. */
function expectFault(ended: Ended, told: RegExp): void {
  expect(ended.stderr).toMatch(/^sentinel: .+\n$/);
  expect(ended.stderr).toMatch(told);
  expect(ended.exitCode).toBe(1);
  expect(ended.stdout).toBe("");
}

describe("an engine of several processes that cannot start says why in one line", () => {
  const run = (env: Record<string, string>) =>
    runEngine({ DATABASE_URL: database.url, DATA_DIR: dataDir, ...TWO, ...env });

  test("the port is taken by a stranger", async () => {
    await using own = new AsyncDisposableStack();
    const port = await freePort();
    const server = createServer().listen(port, "127.0.0.1");
    own.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
    expectFault(await run({ PORT: String(port) }), new RegExp(`PORT: ${port} is taken`));
  });

  test("the port is another engine's of several processes, and theirs is not shared either", async () => {
    await using own = new AsyncDisposableStack();
    const first = await openEngine(own, { DATABASE_URL: database.url, ...TWO });
    const { port } = new URL(first.url);
    for (const WEB_CONCURRENCY of ["1", "2"])
      expectFault(await run({ PORT: port, WEB_CONCURRENCY }), new RegExp(`PORT: ${port} is taken`));
    expect((await reserve(first.url, 2)).status).toBe(201);
  });

  test("a setting is none", async () => {
    expectFault(await run({ WEB_CONCURRENCY: "0" }), /^sentinel: WEB_CONCURRENCY: must be/);
  });

  test("all of them together would need more connections than Postgres gives", async () => {
    const ended = await run({ WEB_CONCURRENCY: "64", RESERVATION_WORKERS: "1" });
    expectFault(
      ended,
      /^sentinel: WEB_CONCURRENCY: 64 processes of \d+ connections need \d+, Postgres gives \d+: /,
    );
  });

  test("only its processes find out: the database gives them too few connections after all", async () => {
    await using own = new AsyncDisposableStack();
    const admin = await openFacts(own, database.url);
    await admin.query("create role narrow login password 'narrow' connection limit 1");
    own.defer(async () => void (await admin.query("drop role narrow")));
    const shops = await openDatabase(own, "empty");
    await admin.query(`alter database ${new URL(shops.url).pathname.slice(1)} owner to narrow`);
    const url = Object.assign(new URL(shops.url), { username: "narrow", password: "narrow" }).href;
    expectFault(await run({ DATABASE_URL: url }), /too many connections for role "narrow"/);
  });
});

test("an engine of two processes that loses one before the other is ready ends, and leaves nothing behind", async () => {
  const env = { DATABASE_URL: database.url, DATA_DIR: dataDir, ...TWO };
  const environment = await engineEnvironment(env);
  const child = startChild("the engine", engineCommand, { cwd: ROOT, env: environment });
  try {
    const pids = await until("it has started both", async () => {
      const processes = await processesOf(child);
      return processes.size === 2 && processes;
    });
    process.kill(pids.get(2) ?? 0, "SIGSTOP");
    await until("the first one listens", () => fetch(`http://127.0.0.1:${environment.PORT}/health/live`));
    process.kill(pids.get(1) ?? 0, "SIGKILL");
    await until("it ends", () => child.exitCode() !== undefined);
    expect(child.exitCode()).toBe(1);
    expect(child.output()).toMatch(/^sentinel: engine process 1 ended before all were ready \(SIGKILL\)\n$/);
    await until("nothing is left", () => ![...pids.values()].some(isAlive));
  } finally {
    await child.kill();
  }
});

test("an engine process that is started by hand says who starts it", async () => {
  const ended = await runEngine({ DATA_DIR: dataDir }, { args: ["process", "1"] });
  expectFault(ended, /WEB_CONCURRENCY/);
});

test("several processes choose a free port together, and on a machine without Redis claim no more than is so", async () => {
  await using own = new AsyncDisposableStack();
  const empty = await openFolder(own, "path");
  const env = { DATABASE_URL: database.url, DATA_DIR: dataDir, ...TWO, PORT: "0", PATH: empty };
  const child = startChild("the engine", engineCommand, { cwd: ROOT, env: await engineEnvironment(env) });
  own.defer(async () => expect(await child.end("SIGTERM", STOP_TIMEOUT_MS)).toBe(0));
  const ready = await until("the first screen", () => logLines(child).find(({ msg }) => msg === "ready"));
  expect(ready.redis).toMatch(/^none: Postgres decides races between the processes/);
  expect(ready.redis).not.toContain("needs no");
  const { url = "" } = ready;
  const crowd = await reserveAtOnce(Array.from({ length: 200 }, () => ({ url, seatId: 100 })));
  expect(histogram(await crowd.answers)).toEqual({ 201: 1, 409: 199 });
});
