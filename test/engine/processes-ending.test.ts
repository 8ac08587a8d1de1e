import { describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { startChild } from "../fixtures/child.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { useHouse } from "../fixtures/use-engine.ts";
import { histogram, openSale, reserveAtOnce, seatsFrom } from "./buyers.ts";
import { engineCommand, engineEnvironment } from "./command.ts";
import { type Engine, exitCodeOf, openEngine } from "./engines.ts";
import { expectPublished, readEvents } from "./events.ts";
import { isAlive, processesOf, scrape } from "./processes.ts";

const ROOT = resolve(import.meta.dir, "../..");
const SEATS = 10_000;
const WAIT = { deadlineMs: 20_000 };
const CROWD = 150;

describe("an engine of two processes that is told to end", () => {
  const house = useHouse({ seats: SEATS, env: { WEB_CONCURRENCY: "2" } });
  const seats = seatsFrom(1, SEATS);
  const take = (count: number) => Array.from({ length: count }, () => seats.next().value ?? 0);

  const open = async (env: Record<string, string> = {}) => {
    const dataDir = await openFolder(house.stack, "processes");
    const engine = await house.open({ DATA_DIR: dataDir, ...env });
    await bothAnswer(engine);
    const pids = [...(await processesOf(engine)).values()];
    return { engine, pids, events: { file: join(dataDir, "booking-events.jsonl") } };
  };

  test("answers what both have accepted, publishes all and ends with 0; signals to each of them change nothing", async () => {
    // Batches of 10, one at a time and slow: at the signal most of the crowd still waits. Without a delay the
    // ports close as soon as the processes believe that they may.
    const { engine, pids, events } = await open({
      ...{ RESERVATION_WORKERS: "1", BATCHES_PER_WORKER: "1", BATCH_LIMIT_SEATS: "10", DRAIN_DELAY_MS: "0" },
    });
    await slowDown();
    try {
      const crowd = await reserveAtOnce(take(CROWD).map((seatId) => ({ url: engine.url, seatId })));
      await until("all are accepted, and wait in both", async () => {
        const { sum } = await scrape(engine.url);
        const waiting = ["1", "2"].map((process) => sum("sentinel_queue_seats", { process }));
        const accepted =
          waiting.reduce((total, count) => total + count, 0) +
          sum("sentinel_reservations_total", { outcome: "won" });
        return accepted >= CROWD - 20 && waiting.every((count) => count > 10);
      });
      // As a terminal does, or systemd: all of them, and the primary tells its own once more.
      for (const pid of [...pids, engine.pid]) process.kill(pid, "SIGTERM");
      expect(histogram(await crowd.answers)).toEqual({ 201: CROWD });
      expect(await exitCodeOf(engine)).toBe(0);
    } finally {
      await house.facts.query("drop function if exists be_slow() cascade");
    }
    expect(pids.filter(isAlive)).toEqual([]);
    const { length } = (await readFile(events.file, "utf8")).split("\n").slice(0, -1);
    expect(length).toBe((await house.facts.ledger()).length);
    await expectPublished(house.facts, await readEvents(events, { ...WAIT, atLeast: length }));
  });

  const slowDown = async () => {
    await house.facts.query(
      `create function be_slow() returns trigger language plpgsql as
       $$ begin perform pg_sleep(0.1); return null; end $$`,
    );
    await house.facts.query(
      "create trigger be_slow after insert on seat_events for each statement execute function be_slow()",
    );
  };

  test("before all are ready answers what the first has accepted, and ends with 0", async () => {
    const env = await engineEnvironment({ ...house.env, DRAIN_DELAY_MS: "1000" });
    const child = startChild("the engine", engineCommand, { cwd: ROOT, env });
    const url = `http://127.0.0.1:${env.PORT}`;
    try {
      const pids = await until("it has started both", async () => {
        const processes = await processesOf(child);
        return processes.size === 2 && processes;
      });
      const late = pids.get(2) ?? 0;
      process.kill(late, "SIGSTOP");
      await until("the first one listens", () => fetch(`${url}/health/live`));
      const sale = openSale(url, seats, 8);
      await until("20 seats are sold", () => sale.won() >= 20);
      process.kill(child.pid, "SIGTERM");
      process.kill(late, "SIGCONT");
      const answers = await sale.stop();
      const { 201: won = 0, 503: refused = 0 } = histogram(answers);
      expect(won + refused).toBe(answers.length);
      await until("it ends", () => child.exitCode() !== undefined);
      expect(child.exitCode()).toBe(0);
      expect(child.output()).not.toMatch(/^sentinel:|"msg":"ready"/m);
    } finally {
      await child.kill();
    }
  });

  test("again a second later ends at once with 130, and nothing of it is left", async () => {
    const { engine, pids } = await open({ DRAIN_DELAY_MS: "60000", SHUTDOWN_TIMEOUT_MS: "120000" });
    const signalledAt = performance.now();
    process.kill(engine.pid, "SIGTERM");
    await until("it is not ready", async () => (await fetch(`${engine.url}/health/ready`)).status === 503);
    await until("a second is over", () => performance.now() > signalledAt + 1000);
    process.kill(engine.pid, "SIGTERM");
    expect(await exitCodeOf(engine, 5000)).toBe(130);
    await until("its processes are gone", () => !pids.some(isAlive));
  });

  test("while one of them hangs ends with 1 when SHUTDOWN_TIMEOUT_MS is over, and nothing of it is left", async () => {
    const { engine, pids } = await open({ SHUTDOWN_TIMEOUT_MS: "1500" });
    process.kill(pids[1] ?? 0, "SIGSTOP");
    process.kill(engine.pid, "SIGTERM");
    expect(await exitCodeOf(engine, 5000)).toBe(1);
    expect(engine.output()).toContain("SHUTDOWN_TIMEOUT_MS");
    await until("its processes are gone", () => !pids.some(isAlive));
  });

  test("and loses one of them over it ends with 1, and says which", async () => {
    const { engine, pids } = await open({ DRAIN_DELAY_MS: "1000" });
    process.kill(engine.pid, "SIGTERM");
    await until("it is ending", () => engine.output().includes('"ending'));
    process.kill(pids[0] ?? 0, "SIGKILL");
    expect(await exitCodeOf(engine)).toBe(1);
    expect(engine.output()).toMatch(/engine process \d did not end in order \(SIGKILL\)/);
  });
});

test("an engine of two processes whose primary is killed is gone with all that it has embedded", async () => {
  await using stack = new AsyncDisposableStack();
  const dataDir = await openFolder(stack, "processes");
  const engine = await openEngine(stack, { DATA_DIR: dataDir, WEB_CONCURRENCY: "2" });
  await bothAnswer(engine);
  const pidFile = await readFile(join(dataDir, "postgres/postmaster.pid"), "utf8");
  const pids = [...(await processesOf(engine)).values(), Number(pidFile.split("\n")[0])];
  expect(pids).toHaveLength(3);
  expect(pids.filter(isAlive)).toEqual(pids);
  await engine.kill();
  await until("its processes and its Postgres are gone", () => !pids.some(isAlive));
  // Nobody holds its port either.
  const next = await openEngine(stack, {
    ...{ DATA_DIR: dataDir, WEB_CONCURRENCY: "2", PORT: new URL(engine.url).port },
  });
  expect(await next.stop()).toBe(0);
});

const bothAnswer = ({ url }: Engine) =>
  until("both processes answer", async () => (await scrape(url)).value("sentinel_processes_answering") === 2);
