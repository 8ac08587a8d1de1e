import { expect, test } from "bun:test";
import { Loop, type Pause } from "../../src/runtime/loop.ts";
import { after, openRounds, useFakeTimers } from "./rounds.ts";

useFakeTimers();

function openLoop(firstPauseMs?: number) {
  const rounds = openRounds<Pause | number>();
  return { loop: new Loop(rounds.run, firstPauseMs), rounds, ends: rounds.ends };
}

test("begins at once, or after the first pause", async () => {
  expect(openLoop().rounds.count).toBe(1);
  const { rounds } = openLoop(100);
  await after(99);
  expect(rounds.count).toBe(0);
  await after(1);
  expect(rounds.count).toBe(1);
});

test("pauses for as long as the round says, counted from its end, and never runs two rounds at once", async () => {
  const { loop, rounds, ends } = openLoop();
  await after(1000);
  loop.poke();
  expect(rounds.count).toBe(1);
  await ends({ restMs: 5 });
  await after(5);
  expect(rounds.count).toBe(2);
  await ends(100);
  await after(99);
  expect(rounds.count).toBe(2);
  await after(1);
  expect(rounds.count).toBe(3);
  await ends(0);
  expect(rounds.count).toBe(4);
});

test("a poke ends the pause, and skips it after a round or rest in which it came", async () => {
  const { loop, rounds, ends } = openLoop();
  await ends(100);
  loop.poke();
  expect(rounds.count).toBe(2);
  loop.poke();
  expect(loop.isPoked).toBe(true);
  await ends(100);
  expect([rounds.count, loop.isPoked]).toEqual([3, false]);
  await ends({ restMs: 50, pauseMs: 100 });
  loop.poke();
  await after(49);
  expect(rounds.count).toBe(3);
  await after(1);
  expect(rounds.count).toBe(4);
  await ends({ restMs: 50, pauseMs: 100 });
  await after(149);
  expect(rounds.count).toBe(4);
  await after(1);
  expect(rounds.count).toBe(5);
});

test.each([
  ["a pause", 100],
  ["a rest", { restMs: 100 }],
] as const)("stops in %s at once, and no round follows, poked or not", async (_what, next) => {
  const { loop, rounds, ends } = openLoop();
  await ends(next);
  expect(await loop.stop(1000)).toBe(true);
  loop.poke();
  await after(10_000);
  expect(rounds.count).toBe(1);
});

test("stop waits for the round under way, and says when it takes longer than the limit", async () => {
  const ended = openLoop();
  const stopped = ended.loop.stop(1000);
  await ended.ends(0);
  expect([await stopped, ended.rounds.count]).toEqual([true, 1]);
  const hung = openLoop().loop.stop(1000);
  await after(1000);
  expect(await hung).toBe(false);
});
