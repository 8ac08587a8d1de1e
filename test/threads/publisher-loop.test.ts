import { describe, expect, jest, test } from "bun:test";
import type { PublisherReport } from "../../src/threads/messages.ts";
import { PublisherLoop } from "../../src/threads/publisher-loop.ts";
import type { ThreadPool } from "../../src/threads/thread-pool.ts";
import { after, openRounds, settle, useFakeTimers, watch } from "../runtime/rounds.ts";

const POLL_MS = 1000;
/** Rounds under load are this far apart at least. */
const GATHER_MS = 50;
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

useFakeTimers();

function openLoop() {
  const rounds = openRounds<PublisherReport>();
  const reports: PublisherReport[] = [];
  const tasks: string[] = [];
  const run = (task: string) => {
    tasks.push(task);
    return task === "close" ? Promise.resolve() : rounds.run();
  };
  const loop = new PublisherLoop({
    ...{ pool: { run } as unknown as ThreadPool, pollMs: POLL_MS },
    onReport: (report) => reports.push(report),
  });
  const ends = (report: Partial<PublisherReport> = {}) => rounds.ends({ ...REPORT, ...report });
  return { loop, tasks, reports, rounds, ends };
}

describe("the publisher's loop", () => {
  test("begins with a round at once, and gives its report on", async () => {
    const { rounds, ends, reports } = openLoop();
    expect(rounds.count).toBe(1);
    await ends({ publishedCount: 7 });
    expect(reports).toEqual([{ ...REPORT, publishedCount: 7 }]);
  });

  test.each([
    ["waits for the poll interval when nobody announced a change", {}, false, POLL_MS],
    ["goes on at once while more is waiting", { more: true, publishedCount: 1000 }, false, 0],
    ["gathers changes that are announced", {}, true, GATHER_MS],
    [
      "does not ask a failing sink more often because sales go on",
      { failureCount: 1 },
      true,
      FAILURE_PAUSE_MS,
    ],
    ["leaves another process that publishes alone, though sales go on", { active: false }, true, POLL_MS],
    ["pauses when the thread dies", undefined, true, FAILURE_PAUSE_MS],
  ])("%s", async (_what, report, isSelling, pauseMs) => {
    const { loop, rounds, ends } = openLoop();
    if (isSelling) loop.poke();
    await (report ? ends(report) : rounds.dies());
    for (let elapsedMs = 0; elapsedMs < pauseMs; elapsedMs++) {
      expect(rounds.count).toBe(1);
      if (isSelling) loop.poke();
      await after(1);
    }
    expect(rounds.count).toBe(2);
  });

  test("looks at once when a change is announced in its pause", async () => {
    const { loop, rounds, ends } = openLoop();
    await ends();
    loop.poke();
    expect(rounds.count).toBe(2);
  });

  test("publishes while ending until nothing is left or unacknowledged, then lets go of its session", async () => {
    const { loop, tasks, ends } = openLoop();
    await ends();
    const stopped = loop.stop(60_000);
    await settle();
    await ends({ publishedCount: 5 });
    await ends({ publishedCount: 0, more: true });
    await ends({ publishedCount: 0 });
    await stopped;
    expect(tasks).toEqual(["round", "round", "round", "round", "close"]);
  });

  test.each([
    ["the sink fails", { publishedCount: 5, failureCount: 1 }],
    ["another process publishes", { active: false, more: true }],
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
    const stopped = watch(loop.stop(100));
    await settle();
    await after(100 + LAST_ROUND_MS - 1);
    expect(stopped.isOver).toBe(false);
    await after(1);
    expect(stopped.isOver).toBe(true);
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
