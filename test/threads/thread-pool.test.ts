import { afterEach, describe, expect, test } from "bun:test";
import type { ThreadSample } from "../../src/threads/messages.ts";
import { ThreadPool, type ThreadPoolOptions } from "../../src/threads/thread-pool.ts";
import { until } from "../fixtures/until.ts";
import { type UnrulySettings, type UnrulyTask, WAIT_MS } from "./unruly-thread.ts";

/** Beside the engine's own threads, as the pool looks for them. */
const UNRULY: string = "../test/threads/unruly-thread";
const PATIENCE_MS = 10_000;
const STUCK_AFTER_MS = 1000;
/** A thread that spins is given time by the system sooner than this, however busy that is. */
const STANDS_AFTER_MS = 500;

const closes: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closes.splice(0)) await close();
});

async function openPool(threadCount: number, tasksPerThread: number) {
  const settings: UnrulySettings = { spins: new Int32Array(new SharedArrayBuffer(4)) };
  let restarts = 0;
  const pool = new ThreadPool({
    name: UNRULY as ThreadPoolOptions["name"],
    threadCount,
    tasksPerThread,
    settings,
    onSample: (_thread: string, _sample: ThreadSample) => undefined,
    onRestart: () => restarts++,
  });
  closes.push(() => pool.close());
  const run = (task: UnrulyTask, deadlineMs = PATIENCE_MS) => pool.run<number>(task, deadlineMs);
  // Every thread is up before the clock of a test runs.
  await Promise.all(Array.from({ length: threadCount }, () => run("wait")));
  return { pool, run, spins: () => Atomics.load(settings.spins, 0), restarts: () => restarts };
}

const NO_FAILURE = "it did not fail";

/** Not `rejects`, which keeps a thread's messages from arriving while it waits. */
const failure = (task: Promise<unknown>): Promise<string> =>
  task.then(
    () => NO_FAILURE,
    (error: unknown) => String(error),
  );

/** The threads that serve, as soon as there are two. */
const twoThreads = (run: (task: UnrulyTask) => Promise<number>): Promise<number[]> =>
  until("two threads serve", async () => {
    const threads = await Promise.all([run("wait"), run("wait")]);
    return new Set(threads).size === 2 && threads;
  });

const outcomes = async (tasks: Promise<unknown>[]) =>
  (await Promise.allSettled(tasks)).map(({ status }) => status);

describe("a pool of threads", () => {
  test("works on several tasks of one thread at once", async () => {
    const { run } = await openPool(1, 4);
    const beganAt = performance.now();
    await Promise.all([run("wait"), run("wait"), run("wait"), run("wait")]);
    expect(performance.now() - beganAt).toBeLessThan(3 * WAIT_MS);
  });

  test("refuses what goes beyond what its threads take and as many waiting", async () => {
    const { run } = await openPool(1, 2);
    const settled = await outcomes([run("wait"), run("wait"), run("wait"), run("wait"), run("wait")]);
    expect(settled.filter((status) => status === "rejected").length).toBeGreaterThan(0);
    expect(settled.slice(0, 2)).toEqual(["fulfilled", "fulfilled"]);
  });

  test("rejects the task that throws and keeps the thread", async () => {
    const { run, restarts } = await openPool(1, 2);
    const thread = await run("name your thread");
    expect(await failure(run("throw"))).toContain("told to throw");
    expect(await run("name your thread")).toBe(thread);
    expect(restarts()).toBe(0);
  });

  test("rejects only the tasks of a thread that exits, replaces it and says so once", async () => {
    const { run, restarts } = await openPool(2, 2);
    const settled = outcomes([run("wait"), run("exit")]);
    expect(await settled).toEqual(["fulfilled", "rejected"]);
    await twoThreads(run);
    expect(restarts()).toBe(1);
  });

  test("tells the caller that a task is late, and keeps a thread that is still heard of", async () => {
    const { run, restarts } = await openPool(1, 2);
    const thread = await run("name your thread");
    expect(await failure(run("wait", WAIT_MS / 2))).not.toBe(NO_FAILURE);
    expect(await run("wait")).toBe(thread);
    expect(restarts()).toBe(0);
  });

  test.each(["spin", "wait, then spin"] as const)(
    "ends a thread that is stuck past the deadline (%s): it no longer burns a core",
    async (task) => {
      const { run, spins } = await openPool(1, 1);
      expect(await failure(run(task, 2 * WAIT_MS))).not.toBe(NO_FAILURE);
      let last = { count: 0, seenAt: Number.POSITIVE_INFINITY };
      const stands = () => {
        const count = spins();
        if (count !== last.count) last = { count, seenAt: performance.now() };
        return performance.now() - last.seenAt > STANDS_AFTER_MS;
      };
      await until("nobody spins any more", stands);
    },
  );

  test("serves on beside a thread that is stuck, and with its replacement after it", async () => {
    const { run, restarts } = await openPool(2, 1);
    const stuck = run("spin", STUCK_AFTER_MS);
    const beside = await run("name your thread");
    expect(await failure(stuck)).not.toBe(NO_FAILURE);
    expect(await twoThreads(run)).toContain(beside);
    expect(restarts()).toBe(1);
  });

  test("serves on when every thread has died at the same moment", async () => {
    const { run } = await openPool(2, 1);
    expect(await outcomes([run("exit"), run("exit")])).toEqual(["rejected", "rejected"]);
    expect(await run("name your thread")).toBeGreaterThan(0);
  });

  test("closes without counting its threads' ends as deaths", async () => {
    const { pool, restarts } = await openPool(2, 1);
    await pool.close();
    expect(restarts()).toBe(0);
    expect(pool.threadCount).toBe(0);
  });
});
