import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { AuditorLoop } from "../../src/proof/audit/auditor-loop.ts";

const PAUSE_MS = 2000;
/** What a round that is under way at the end still gets. */
const LAST_ROUND_MS = 1000;

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

async function after(ms: number): Promise<void> {
  jest.advanceTimersByTime(ms);
  await settle();
}

/** A loop whose rounds end when the test says so. */
function openLoop() {
  const state = { rounds: 0, isUnwelcome: false };
  let end: (() => void) | undefined;
  const round = () => {
    state.rounds++;
    return new Promise<void>((resolve) => {
      end = resolve;
    });
  };
  const loop = new AuditorLoop({ round }, { pauseMs: PAUSE_MS, isUnwelcome: () => state.isUnwelcome });
  const ends = async () => {
    end?.();
    await settle();
  };
  const stop = () => {
    const stopped = { isOver: false };
    void loop.stop().then(() => {
      stopped.isOver = true;
    });
    return stopped;
  };
  return { state, ends, stop };
}

test("begins after a pause, and has one round at a time with a pause after each", async () => {
  const { state, ends } = openLoop();
  await after(PAUSE_MS - 1);
  expect(state.rounds).toBe(0);
  await after(1);
  expect(state.rounds).toBe(1);
  await after(10 * PAUSE_MS);
  expect(state.rounds).toBe(1);
  await ends();
  await after(60_000);
  expect(state.rounds).toBe(2);
});

test("rests twenty times as long as a slow round took, and a minute at most", async () => {
  const { state, ends } = openLoop();
  await after(PAUSE_MS);
  await after(500);
  await ends();
  await after(9999);
  expect(state.rounds).toBe(1);
  await after(2);
  expect(state.rounds).toBe(2);
  await after(5000);
  await ends();
  await after(59_999);
  expect(state.rounds).toBe(2);
  await after(2);
  expect(state.rounds).toBe(3);
});

test("leaves a round out where it is unwelcome, and asks again after the pause", async () => {
  const { state } = openLoop();
  state.isUnwelcome = true;
  await after(PAUSE_MS);
  await after(PAUSE_MS);
  expect(state.rounds).toBe(0);
  state.isUnwelcome = false;
  await after(PAUSE_MS);
  expect(state.rounds).toBe(1);
});

test("stops after the round under way, and does not wait for one that hangs", async () => {
  const { state, ends, stop } = openLoop();
  await after(PAUSE_MS);
  const stopped = stop();
  await settle();
  expect(stopped.isOver).toBe(false);
  await ends();
  expect(stopped.isOver).toBe(true);
  await after(60_000);
  expect(state.rounds).toBe(1);

  const hanging = openLoop();
  await after(PAUSE_MS);
  const given = hanging.stop();
  await after(LAST_ROUND_MS - 1);
  expect(given.isOver).toBe(false);
  await after(1);
  expect(given.isOver).toBe(true);
});
