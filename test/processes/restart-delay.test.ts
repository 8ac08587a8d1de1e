import { expect, test } from "bun:test";
import { RestartDelay } from "../../src/engine/processes/restart-delay.ts";

test("a process that lived for long is replaced at once; one that dies again soon waits longer each time, 10 s at most", () => {
  const delay = new RestartDelay();
  expect(delay.after(3_600_000)).toBe(0);
  const waits = Array.from({ length: 12 }, () => delay.after(1000));
  expect(waits.slice(0, 5)).toEqual([100, 200, 400, 800, 1600]);
  expect(waits.slice(-4)).toEqual([10_000, 10_000, 10_000, 10_000]);
  expect(delay.after(60_000)).toBe(0);
  expect(delay.after(1000)).toBe(100);
});
