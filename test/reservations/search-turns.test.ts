import { describe, expect, test } from "bun:test";
import { SearchTurns } from "../../src/reservations/search-turns.ts";
import { turn } from "./worker.ts";

const TURN_LIMIT_STEPS = 500_000;

/** Searches of that many steps each; `over` has those that were let go, in order. */
function openTurns() {
  const turns = new SearchTurns();
  const over: number[] = [];
  const refused: number[] = [];
  const search = async (id: number, steps: number) => {
    const entered = turns.enter();
    if (entered !== true && !(await entered)) return refused.push(id);
    over.push(id);
    turns.spent(steps);
  };
  return { over, refused, search };
}

/** Lets everything happen that waits for no other turn of the event loop. */
async function settle(): Promise<void> {
  for (let times = 0; times < 20; times++) await Promise.resolve();
}

describe("searches", () => {
  test("that are cheap begin at once, however many there are", () => {
    const { over, search } = openTurns();
    for (let id = 1; id <= 100; id++) void search(id, 1000);
    expect(over).toHaveLength(100);
  });

  test("that are costly have one turn of the event loop each, in their order, and cheap ones wait behind them", async () => {
    const { over, search } = openTurns();
    for (let id = 1; id <= 3; id++) void search(id, TURN_LIMIT_STEPS);
    for (let id = 4; id <= 6; id++) void search(id, 1);
    await settle();
    expect(over).toEqual([1]);
    await new Promise(setImmediate);
    await settle();
    expect(over).toEqual([1, 2]);
    for (let times = 0; times < 3; times++) await turn();
    expect(over).toEqual([1, 2, 3, 4, 5, 6]);
    void search(7, TURN_LIMIT_STEPS);
    expect(over.at(-1)).toBe(7);
  });

  test("that cannot be met by a bounded queue are refused, and keep none of the others waiting", async () => {
    const { over, refused, search } = openTurns();
    for (let id = 0; id <= 1001; id++) void search(id, id === 0 ? TURN_LIMIT_STEPS : 0);
    await settle();
    expect(refused).toEqual([1001]);
    await turn();
    await settle();
    for (let times = 0; over.length < 1001 && times < 1001; times++) await Promise.resolve();
    expect(over).toHaveLength(1001);
  });
});
