import { expect, test } from "bun:test";
import { AuditorLoop } from "../../src/proof/audit/auditor-loop.ts";
import { after, openRounds, useFakeTimers, watch } from "../runtime/rounds.ts";

const PAUSE_MS = 2000;
/** What a round that is under way at the end still gets. */
const LAST_ROUND_MS = 1000;

useFakeTimers();

function openLoop() {
  const rounds = openRounds();
  const state = { isUnwelcome: false };
  const options = { pauseMs: PAUSE_MS, isUnwelcome: () => state.isUnwelcome };
  return { rounds, state, loop: new AuditorLoop({ round: rounds.run }, options) };
}

test("rests twenty times as long as a slow round took, and a minute at most", async () => {
  const { rounds } = openLoop();
  await after(PAUSE_MS - 1);
  expect(rounds.count).toBe(0);
  await after(1);
  await after(500);
  await rounds.ends();
  await after(9999);
  expect(rounds.count).toBe(1);
  await after(2);
  expect(rounds.count).toBe(2);
  await after(5000);
  await rounds.ends();
  await after(59_999);
  expect(rounds.count).toBe(2);
  await after(2);
  expect(rounds.count).toBe(3);
});

test("leaves a round out where it is unwelcome, and asks again after the pause", async () => {
  const { rounds, state } = openLoop();
  state.isUnwelcome = true;
  await after(PAUSE_MS);
  await after(PAUSE_MS);
  expect(rounds.count).toBe(0);
  state.isUnwelcome = false;
  await after(PAUSE_MS);
  expect(rounds.count).toBe(1);
});

test("does not wait for a round that hangs when it stops", async () => {
  const { loop } = openLoop();
  await after(PAUSE_MS);
  const stopped = watch(loop.stop());
  await after(LAST_ROUND_MS - 1);
  expect(stopped.isOver).toBe(false);
  await after(1);
  expect(stopped.isOver).toBe(true);
});
