import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import type { PublisherReport } from "../../src/threads/messages.ts";
import { PublisherLoop } from "../../src/threads/publisher-loop.ts";
import type { ThreadPool } from "../../src/threads/thread-pool.ts";

const POLL_MS = 1000;
/** More than rounds under load keep apart, less than the pause after a failure. */
const SOON_MS = 50;
const FAILURE_PAUSE_MS = 500;
/** What a round that is under way at the end still gets. */
const LAST_ROUND_MS = 3000;

const REPORT: PublisherReport = {
  active: true,
  publishedCount: 0,
  publishSeconds: [],
  failureCount: 0,
  more: false,
  sinkUp: true,
  sinkIsKnown: true,
  ...{ backlogRows: 0, backlogSeconds: 0, horizonSeconds: 0 },
};

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

/** Lets everything happen that waits for no timer. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

async function after(ms: number): Promise<void> {
  jest.advanceTimersByTime(ms);
  await settle();
}

/** A loop whose thread answers when and what the test says. */
function openLoop() {
  const tasks: string[] = [];
  const reports: PublisherReport[] = [];
  let answer: { resolve(report: PublisherReport): void; reject(error: Error): void } | undefined;
  const pool = {
    run: (task: string) => {
      tasks.push(task);
      if (task === "close") return Promise.resolve();
      return new Promise<PublisherReport>((resolve, reject) => {
        answer = { resolve, reject };
      });
    },
  };
  const loop = new PublisherLoop({
    pool: pool as unknown as ThreadPool,
    pollMs: POLL_MS,
    onReport: (report) => reports.push(report),
  });
  const taken = () => {
    const current = answer;
    answer = undefined;
    if (!current) throw new Error("no round is under way");
    return current;
  };
  return {
    loop,
    tasks,
    reports,
    rounds: () => tasks.filter((task) => task === "round").length,
    ends: async (report: Partial<PublisherReport> = {}) => {
      taken().resolve({ ...REPORT, ...report });
      await settle();
    },
    dies: async () => {
      taken().reject(new Error("the thread exited"));
      await settle();
    },
  };
}

describe("the publisher's loop", () => {
  test("begins with a round at once, and gives its report on", async () => {
    const { rounds, ends, reports } = openLoop();
    expect(rounds()).toBe(1);
    await ends({ publishedCount: 7 });
    expect(reports).toEqual([{ ...REPORT, publishedCount: 7 }]);
  });

  test("looks again after the poll interval when nobody announced a change", async () => {
    const { rounds, ends } = openLoop();
    await ends();
    await after(POLL_MS - 1);
    expect(rounds()).toBe(1);
    await after(1);
    expect(rounds()).toBe(2);
  });

  test("looks soon when a change is announced", async () => {
    const { loop, rounds, ends } = openLoop();
    await ends();
    loop.poke();
    await after(SOON_MS);
    expect(rounds()).toBe(2);
  });

  test("does not miss a change that is announced during a round", async () => {
    const { loop, rounds, ends } = openLoop();
    loop.poke();
    await ends();
    await after(SOON_MS);
    expect(rounds()).toBe(2);
  });

  test("goes on at once while more is waiting", async () => {
    const { rounds, ends } = openLoop();
    await ends({ more: true, publishedCount: 1000 });
    await after(SOON_MS);
    expect(rounds()).toBe(2);
  });

  test("never has two rounds under way", async () => {
    const { loop, rounds } = openLoop();
    for (let time = 0; time < 10; time++) {
      loop.poke();
      await after(POLL_MS);
    }
    expect(rounds()).toBe(1);
  });

  test.each(["fails", "dies with its thread"])("goes on after a pause when a round %s", async (how) => {
    const { rounds, ends, dies } = openLoop();
    await (how === "fails" ? ends({ failureCount: 1 }) : dies());
    await after(FAILURE_PAUSE_MS - 1);
    expect(rounds()).toBe(1);
    await after(1);
    expect(rounds()).toBe(2);
  });

  test("does not ask a failing sink more often because sales go on", async () => {
    const { loop, rounds, ends } = openLoop();
    await ends({ failureCount: 1 });
    for (let elapsedMs = 0; elapsedMs < FAILURE_PAUSE_MS - 10; elapsedMs += 10) {
      loop.poke();
      await after(10);
    }
    expect(rounds()).toBe(1);
  });

  test("does not ask for its turn more often because sales go on while another process publishes", async () => {
    const { loop, rounds, ends } = openLoop();
    await ends({ active: false });
    for (let elapsedMs = 0; elapsedMs < POLL_MS - 10; elapsedMs += 10) {
      loop.poke();
      await after(10);
    }
    expect(rounds()).toBe(1);
    await after(10);
    expect(rounds()).toBe(2);
  });

  test("publishes while ending until nothing is left, then lets go of its session", async () => {
    const { loop, tasks, ends } = openLoop();
    await ends();
    const stopped = loop.stop(60_000);
    await settle();
    await ends({ publishedCount: 5 });
    await ends({ publishedCount: 2 });
    await ends({ publishedCount: 0 });
    await stopped;
    expect(tasks).toEqual(["round", "round", "round", "round", "close"]);
  });

  test("goes on while ending with what the sink has not acknowledged yet", async () => {
    const { loop, tasks, ends } = openLoop();
    await ends();
    const stopped = loop.stop(60_000);
    await settle();
    await ends({ publishedCount: 0, more: true });
    await ends({ publishedCount: 5 });
    await ends({ publishedCount: 0 });
    await stopped;
    expect(tasks).toEqual(["round", "round", "round", "round", "close"]);
  });

  test.each([
    ["the sink fails", { publishedCount: 5, failureCount: 1 }],
    ["another process publishes", { active: false }],
  ])("does not hold the end up when %s", async (_when, report) => {
    const { loop, tasks, ends } = openLoop();
    await ends();
    const stopped = loop.stop(60_000);
    await settle();
    await ends(report);
    await stopped;
    expect(tasks.at(-1)).toBe("close");
  });

  test("stops publishing when the time for it is over, however much is left", async () => {
    const { loop, tasks, ends } = openLoop();
    await ends();
    const stopped = loop.stop(100);
    await settle();
    jest.advanceTimersByTime(101);
    await ends({ publishedCount: 1000, more: true });
    await stopped;
    expect(tasks).toEqual(["round", "round", "close"]);
  });

  test("is not held up for ever by a round that hangs on a silent sink", async () => {
    const { loop, tasks, ends } = openLoop();
    await ends();
    let isOver = false;
    void loop.stop(100).then(() => {
      isOver = true;
    });
    await settle();
    await after(100 + LAST_ROUND_MS - 1);
    expect(isOver).toBe(false);
    await after(1);
    expect(isOver).toBe(true);
    expect(tasks).toEqual(["round", "round"]);
  });

  test("waits for a round under way before it ends", async () => {
    const { loop, tasks, ends } = openLoop();
    const stopped = loop.stop(60_000);
    await after(POLL_MS);
    expect(tasks).toEqual(["round"]);
    await ends();
    await ends();
    await stopped;
    expect(tasks.at(-1)).toBe("close");
  });
});
