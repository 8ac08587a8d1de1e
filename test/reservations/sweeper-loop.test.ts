import { expect, test } from "bun:test";
import type { SweeperReport } from "../../src/reservations/sweeper.ts";
import { SweeperLoop } from "../../src/reservations/sweeper-loop.ts";
import { after, openRounds, settle, useFakeTimers, watch } from "../runtime/rounds.ts";

const PAUSE_MS = 250;
/** What a round that is under way at the end still gets. */
const LAST_ROUND_MS = 2000;
const REPORT: SweeperReport = { active: true, freed: [[7, 3]], more: false };

useFakeTimers();

function openLoop() {
  const rounds = openRounds<SweeperReport>();
  const reports: SweeperReport[] = [];
  const letGo = { count: 0 };
  const sweeper = { round: rounds.run, letGo: async () => void letGo.count++ };
  const loop = new SweeperLoop(sweeper, (report) => reports.push(report));
  return { rounds, reports, letGo, loop };
}

test("sweeps at once, gives on what is free again, and pauses unless more is due", async () => {
  const { rounds, reports } = openLoop();
  expect(rounds.count).toBe(1);
  await rounds.ends(REPORT);
  expect(reports).toEqual([REPORT]);
  await after(PAUSE_MS - 1);
  expect(rounds.count).toBe(1);
  await after(1);
  expect(rounds.count).toBe(2);
  await rounds.ends({ ...REPORT, more: true });
  expect(rounds.count).toBe(3);
});

test("stops after the round that is under way, whose news still count, and lets go of its session", async () => {
  const { rounds, reports, letGo, loop } = openLoop();
  const stopped = watch(loop.stop());
  await settle();
  expect([stopped.isOver, letGo.count]).toEqual([false, 0]);
  await rounds.ends({ ...REPORT, more: true });
  expect([stopped.isOver, letGo.count]).toEqual([true, 1]);
  expect([reports.length, rounds.count]).toEqual([1, 1]);
});

test("does not wait for a round that hangs, which would keep the process from ending in time", async () => {
  const { letGo, loop } = openLoop();
  const stopped = watch(loop.stop());
  await after(LAST_ROUND_MS - 1);
  expect(stopped.isOver).toBe(false);
  await after(1);
  expect([stopped.isOver, letGo.count]).toEqual([true, 0]);
});
