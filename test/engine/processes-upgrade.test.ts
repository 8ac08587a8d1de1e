import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { copyFile, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Child, startChild } from "../fixtures/child.ts";
import { createDatabase } from "../fixtures/postgres.ts";
import { tempDir } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { engineEnvironment } from "./command.ts";
import { processesOf, scrape } from "./processes.ts";

// Parts take seconds to start on a busy machine. Bun keeps this for one file only.
setDefaultTimeout(60_000);

const ROOT = resolve(import.meta.dir, "../..");
const WAIT = { deadlineMs: 20_000 };
const STOP_TIMEOUT_MS = 15_000;

const stack = new AsyncDisposableStack();
let bun: string;
let engine: Child;
let url: string;

beforeAll(async () => {
  const database = await createDatabase();
  stack.defer(database.drop);
  const folder = await tempDir("upgrade");
  stack.defer(folder.remove);
  bun = join(folder.path, "bun");
  await copyFile(process.execPath, bun);
  const env = await engineEnvironment({
    ...{ DATABASE_URL: database.url, DATA_DIR: folder.path, WEB_CONCURRENCY: "2" },
  });
  url = `http://127.0.0.1:${env.PORT}`;
  engine = startChild("the engine", [bun, "src/main.ts"], { cwd: ROOT, env });
  stack.defer(async () => void (await engine.end("SIGTERM", STOP_TIMEOUT_MS)));
  await bothAnswer();
});
afterAll(() => stack.disposeAsync());

const bothAnswer = () =>
  until(
    async () =>
      engine.exitCode() !== undefined || (await scrape(url)).value("sentinel_processes_answering") === 2,
    { ...WAIT, what: "both processes answer" },
  );

test("a process that cannot be started again, since its program is gone, takes no other with it; it is tried again", async () => {
  await rename(bun, `${bun}.old`);
  process.kill((await processesOf(engine)).get(2) ?? 0, "SIGKILL");
  await until(() => engine.output().includes("ENOENT"), {
    ...WAIT,
    what: "the start fails",
  });
  expect((await fetch(`${url}/health/ready`)).status).toBe(200);
  await rename(`${bun}.old`, bun);
  await bothAnswer();
  expect(engine.exitCode()).toBeUndefined();
});
