import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { FreeSeats } from "../../src/reservations/free-seats.ts";
import type { Section } from "../../src/venue/catalogue.ts";

/** No look begins sooner after the one before. */
const INTERVAL_MS = 250;
const DEADLINE_MS = 1000;

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

const section = (id: number) => ({ id }) as Section;

/** Lets everything happen that waits for no timer. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

async function after(ms: number): Promise<void> {
  jest.advanceTimersByTime(ms);
  await settle();
}

/** Looks that end when the test says so. */
function openLooks() {
  const looks: { ids: number[]; ends(): Promise<void>; fails(): Promise<void> }[] = [];
  const freeSeats = new FreeSeats(
    (sections) =>
      new Promise((resolve, reject) => {
        looks.push({
          ids: sections.map(({ id }) => id),
          ends: () => {
            resolve();
            return settle();
          },
          fails: () => {
            reject(new Error("the database cannot be asked"));
            return settle();
          },
        });
      }),
  );
  const refresh = (...ids: number[]) => {
    const asked: { state?: boolean | "failed" } = {};
    freeSeats.refresh(ids.map(section)).then(
      (isFresh) => Object.assign(asked, { state: isFresh }),
      () => Object.assign(asked, { state: "failed" }),
    );
    return asked;
  };
  return { looks, refresh, lookedAt: () => looks.map(({ ids }) => ids) };
}

test("the first look begins at once, and is over when the database has answered", async () => {
  const { looks, lookedAt, refresh } = openLooks();
  const asked = refresh(1);
  await settle();
  expect([lookedAt(), asked.state]).toEqual([[[1]], undefined]);
  await looks[0]?.ends();
  expect(asked.state).toBe(true);
});

test("requests during a look share the next one, which begins after them", async () => {
  const { looks, lookedAt, refresh } = openLooks();
  const first = refresh(1);
  await settle();
  const late = [refresh(1), refresh(2, 3), refresh(2)];
  await looks[0]?.ends();
  expect([first.state, late.map(({ state }) => state)]).toEqual([true, [undefined, undefined, undefined]]);
  await after(INTERVAL_MS);
  expect(lookedAt()).toEqual([[1], [1, 2, 3]]);
  await looks[1]?.ends();
  expect(late.map(({ state }) => state)).toEqual([true, true, true]);
});

test("looks follow each other no closer than their interval, however often they are asked for", async () => {
  const { looks, lookedAt, refresh } = openLooks();
  refresh(1);
  await settle();
  await looks[0]?.ends();
  for (let time = 0; time < 10; time++) {
    refresh(time);
    await after(20);
  }
  expect(lookedAt()).toHaveLength(1);
  await after(50);
  expect(lookedAt()).toEqual([[1], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
});

test("a look that takes too long is waited for no longer, and no other begins beside it", async () => {
  const { looks, lookedAt, refresh } = openLooks();
  const [first] = [refresh(1)];
  await settle();
  const next = refresh(2);
  await after(DEADLINE_MS);
  expect([first.state, next.state, lookedAt()]).toEqual([false, false, [[1]]]);
  await looks[0]?.ends();
  await after(INTERVAL_MS);
  expect(lookedAt()).toEqual([[1], [2]]);
});

test("a look that fails is told to those who waited for it, not to those who wait for the next", async () => {
  const { looks, refresh } = openLooks();
  const first = refresh(1);
  await settle();
  const late = refresh(1);
  await looks[0]?.fails();
  expect([first.state, late.state]).toEqual(["failed", undefined]);
  await after(INTERVAL_MS);
  await looks[1]?.ends();
  expect(late.state).toBe(true);
});
