import { beforeAll, expect, test } from "bun:test";
import { copyFile, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Child, startChild } from "../fixtures/child.ts";
import { openDatabase } from "../fixtures/postgres.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { engineEnvironment } from "./command.ts";
import { processesOf, scrape } from "./processes.ts";

const ROOT = resolve(import.meta.dir, "../..");
const STOP_TIMEOUT_MS = 15_000;

const stack = useStack();
let bun: string;
let engine: Child;
let url: string;

beforeAll(async () => {
  const database = await openDatabase(stack);
  const folder = await openFolder(stack, "upgrade");
  bun = join(folder, "bun");
  await copyFile(process.execPath, bun);
  const env = await engineEnvironment({
    ...{ DATABASE_URL: database.url, DATA_DIR: folder, WEB_CONCURRENCY: "2" },
  });
  url = `http://127.0.0.1:${env.PORT}`;
  engine = startChild("the engine", [bun, "src/main.ts"], { cwd: ROOT, env });
  stack.defer(async () => void (await engine.end("SIGTERM", STOP_TIMEOUT_MS)));
  await bothAnswer();
});

const bothAnswer = () =>
  until(
    "both processes answer",
    async () =>
      engine.exitCode() !== undefined || (await scrape(url)).value("sentinel_processes_answering") === 2,
  );

test("a process that cannot be started again, since its program is gone, takes no other with it; it is tried again", async () => {
  await rename(bun, `${bun}.old`);
  process.kill((await processesOf(engine)).get(2) ?? 0, "SIGKILL");
  await until("the start fails", () => engine.output().includes("ENOENT"));
  expect((await fetch(`${url}/health/ready`)).status).toBe(200);
  await rename(`${bun}.old`, bun);
  await bothAnswer();
  expect(engine.exitCode()).toBeUndefined();
});
