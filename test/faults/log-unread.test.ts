import { beforeAll, describe, expect, test } from "bun:test";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { join, resolve } from "node:path";
import { reserve } from "../engine/buyers.ts";
import { engineEnvironment } from "../engine/command.ts";
import { processesOf, scrape } from "../engine/processes.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { type Child, startChild } from "../fixtures/child.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { type Network, startProxy } from "../fixtures/proxy.ts";
import { findSmallDisks, openSmallDisks } from "../fixtures/small-disk.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { useHouse } from "../fixtures/use-engine.ts";

// Nobody reads the log, or its disk is full. Selling does not depend on a log line.

const disksFound = await partOrSkip("small-disks", findSmallDisks);

const ROOT = resolve(import.meta.dir, "../..");
const STOP_TIMEOUT_MS = 15_000;
const DROPPED = "sentinel_log_lines_dropped_total";

describe("an engine whose log nobody takes", () => {
  const house = useHouse({ seats: 1000 });
  const { stack } = house;
  let database: Network;
  let seatId = 0;

  beforeAll(async () => {
    database = await startProxy(house.databaseUrl);
    stack.defer(database.stop);
  });

  /** Ready, with its standard output in `path`. */
  const openInto = async (path: string, env: Record<string, string> = {}, inside: string[] = []) => {
    const dataDir = await openFolder(stack, "log");
    const environment = await engineEnvironment({
      ...{ DATABASE_URL: database.url, DATA_DIR: dataDir, ...env },
    });
    const script = 'cd "$1" && exec "$0" src/main.ts >>"$2"';
    const command = ["sh", "-c", script, process.execPath, ROOT, path];
    const child = startChild("the engine", [...inside, ...command], { env: environment });
    stack.defer(async () => void (await child.end("SIGTERM", STOP_TIMEOUT_MS)));
    const url = `http://127.0.0.1:${environment.PORT}`;
    await until("the engine is ready", async () => (await fetch(`${url}/health/ready`)).status === 200);
    return { url, child };
  };
  const pipe = async () => {
    const folder = await openFolder(stack, "pipe");
    const path = join(folder, "log");
    expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
    return path;
  };
  const reader = (path: string): Child => {
    const child = startChild("the reader", ["cat", path]);
    stack.defer(child.kill);
    return child;
  };
  const sells = (url: string) => until("it sells", async () => (await reserve(url, ++seatId)).status === 201);
  const becomes = (url: string, up: number) =>
    until(
      `the database is ${up ? "up" : "down"} by the metrics`,
      async () => (await scrape(url)).value("sentinel_component_up", { component: "db" }) === up,
    );
  /** Two lines: the database goes and is back. */
  const haveItLog = async (url: string) => {
    database.cut();
    await becomes(url, 0);
    database.heal();
    await becomes(url, 1);
    await sells(url);
  };

  test("sells on while the reader stands still, while it is gone, and says later how much is lost", async () => {
    const path = await pipe();
    const first = reader(path);
    const { url, child } = await openInto(path);
    await until("the log is read", () => first.output().includes('"ready"'));

    first.pause();
    fill(path);
    await haveItLog(url);
    first.resume();
    await until("the lines that waited are read", () =>
      first.output().includes("the database is available again"),
    );
    expect(first.output()).not.toContain("were dropped");
    expect((await readMetrics(url)).value(DROPPED)).toBe(0);

    await first.kill();
    await haveItLog(url);
    await until("lost lines are counted", async () => ((await readMetrics(url)).value(DROPPED) ?? 0) >= 2);
    const second = reader(path);
    await until("the log is read again", () => hasReader(path));
    await haveItLog(url);
    await until("the log tells of them", () => second.output().includes("log lines were dropped"));
    expect(second.output()).toMatch(/"lines":[1-9]\d*,"msg":"log lines were dropped/);
    expect(second.output().match(/were dropped/g)).toHaveLength(1);
    expect(await child.end("SIGTERM", STOP_TIMEOUT_MS)).toBe(0);
  });

  test("in two processes loses neither of them nor their primary when the reader goes", async () => {
    const path = await pipe();
    const only = reader(path);
    const { url, child } = await openInto(path, { WEB_CONCURRENCY: "2" });
    await until("the log is read", () => only.output().includes('"ready"'));
    const before = await processesOf(child);
    await only.kill();
    process.kill(before.get(1) ?? 0, "SIGKILL");
    await until(
      "the primary replaces it and logs that",
      async () => (await scrape(url)).value("sentinel_process_restarts_total") === 1,
    );
    await haveItLog(url);
    await until("both answer", async () => (await scrape(url)).value("sentinel_processes_answering") === 2);
    expect((await processesOf(child)).get(2)).toBe(before.get(2));
    expect((await scrape(url)).sum(DROPPED)).toBeGreaterThan(0);
    expect(await child.end("SIGTERM", STOP_TIMEOUT_MS)).toBe(0);
  });

  test.skipIf(!disksFound)(
    "sells on while the disk of its log is full, and logs when it has room",
    async () => {
      const [disk] = await openSmallDisks(stack, [2]);
      if (!disk) throw new Error("there is no disk");
      const path = join(disk.path, "sentinel.log");
      const { url, child } = await openInto(path, {}, disk.inside);
      const readLog = () => Bun.spawnSync([...disk.inside, "cat", path]).stdout.toString();
      await disk.fill();
      await haveItLog(url);
      await haveItLog(url);
      await disk.free();
      await until("the lines that waited are in the file", () =>
        readLog().includes("the database is available again"),
      );
      expect(await child.end("SIGTERM", STOP_TIMEOUT_MS)).toBe(0);
    },
  );
});

function hasReader(path: string): boolean {
  closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  return true;
}

/** Nobody can write another byte to the pipe, as when its reader has stood still for long. */
function fill(path: string): void {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  try {
    for (const line of [`${" ".repeat(4095)}\n`, "\n"]) while (writeSync(descriptor, line) > 0);
  } catch {
    // It is full; a single line end may still fit.
    try {
      while (writeSync(descriptor, "\n") > 0);
    } catch {
      // Now it is.
    }
  } finally {
    closeSync(descriptor);
  }
}
