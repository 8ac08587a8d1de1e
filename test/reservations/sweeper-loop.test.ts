import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import type { SweeperReport } from "../../src/reservations/sweeper.ts";
import { SweeperLoop } from "../../src/reservations/sweeper-loop.ts";

const PAUSE_MS = 250;
/** What a round that is under way at the end still gets. */
const LAST_ROUND_MS = 2000;

const REPORT: SweeperReport = { active: true, freed: [], more: false };

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

/** A loop whose sweeper answers when and what the test says. */
function openLoop() {
  const tasks: string[] = [];
  const reports: SweeperReport[] = [];
  let answer: ((report: SweeperReport) => void) | undefined;
  const sweeper = {
    round: () => {
      tasks.push("round");
      return new Promise<SweeperReport>((resolve) => {
        answer = resolve;
      });
    },
    letGo: async () => void tasks.push("letGo"),
  };
  const loop = new SweeperLoop(sweeper, (report) => reports.push(report));
  return {
    ...{ loop, tasks, reports },
    ends: async (report: Partial<SweeperReport> = {}) => {
      answer?.({ ...REPORT, ...report });
      await settle();
    },
    stop: () => {
      const stopped = { isOver: false };
      void loop.stop().then(() => {
        stopped.isOver = true;
      });
      return stopped;
    },
  };
}

test("sweeps at once, and gives on what is free again", async () => {
  const { tasks, reports, ends } = openLoop();
  expect(tasks).toEqual(["round"]);
  await ends({ freed: [[7, 3]] });
  expect(reports).toEqual([{ active: true, freed: [[7, 3]], more: false }]);
});

test("sweeps again after a pause, counted from the round's end, and never twice at once", async () => {
  const { tasks, ends } = openLoop();
  await after(10 * PAUSE_MS);
  expect(tasks).toHaveLength(1);
  await ends();
  await after(PAUSE_MS - 1);
  expect(tasks).toHaveLength(1);
  await after(1);
  expect(tasks).toHaveLength(2);
});

test("goes on at once while more is due", async () => {
  const { tasks, ends } = openLoop();
  await ends({ more: true });
  await after(0);
  expect(tasks).toHaveLength(2);
});

test("stops in its pause: it lets go of its session, and no round follows", async () => {
  const { tasks, ends, stop } = openLoop();
  await ends();
  const stopped = stop();
  await settle();
  expect([stopped.isOver, tasks]).toEqual([true, ["round", "letGo"]]);
  await after(10 * PAUSE_MS);
  expect(tasks).toHaveLength(2);
});

test("stops after the round that is under way, whose news still count", async () => {
  const { tasks, reports, ends, stop } = openLoop();
  const stopped = stop();
  await settle();
  expect(stopped.isOver).toBe(false);
  await ends({ freed: [[7, 3]], more: true });
  expect([stopped.isOver, reports.length]).toEqual([true, 1]);
  await after(10 * PAUSE_MS);
  expect(tasks).toEqual(["round", "letGo"]);
});

test("does not wait for a round that hangs, which would keep the process from ending in time", async () => {
  const { tasks, stop } = openLoop();
  const stopped = stop();
  await settle();
  await after(LAST_ROUND_MS - 1);
  expect(stopped.isOver).toBe(false);
  await after(1);
  expect([stopped.isOver, tasks]).toEqual([true, ["round"]]);
});
