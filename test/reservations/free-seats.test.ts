import { expect, test } from "bun:test";
import type { Section } from "../../src/catalogue/catalogue.ts";
import { FreeSeats } from "../../src/reservations/free-seats.ts";
import { turn } from "./worker.ts";

const section = (id: number) => ({ firstSeatId: 10 * id, seatCount: 5 }) as Section;

/** Looks that end when the test says so. */
function openLooks() {
  const looks: { id: number; ends(): Promise<void>; fails(): Promise<void> }[] = [];
  const freeSeats = new FreeSeats(
    (ranges) =>
      new Promise((resolve, reject) => {
        looks.push({
          id: (ranges[0]?.first ?? 0) / 10,
          ends: () => {
            resolve();
            return turn();
          },
          fails: () => {
            reject(new Error("the database cannot be asked"));
            return turn();
          },
        });
      }),
  );
  const refresh = (id: number) => {
    const asked: { state?: "fresh" | "failed" } = {};
    freeSeats.refresh([section(id)]).then(
      () => Object.assign(asked, { state: "fresh" }),
      () => Object.assign(asked, { state: "failed" }),
    );
    return asked;
  };
  const lookedAt = () => looks.map(({ id }) => id);
  return { looks, lookedAt, refresh };
}

test("a first caller's look begins at once, and is over when the database has answered", async () => {
  const { looks, lookedAt, refresh } = openLooks();
  const asked = refresh(1);
  expect(lookedAt()).toEqual([1]);
  await turn();
  expect(asked.state).toBeUndefined();
  await looks[0]?.ends();
  expect(asked.state).toBe("fresh");
});

test("however many come while a look is under way, they share one more, which begins after it", async () => {
  const { looks, lookedAt, refresh } = openLooks();
  const first = refresh(1);
  const late = [refresh(1), refresh(1), refresh(1)];
  await turn();
  expect(lookedAt()).toEqual([1]);
  await looks[0]?.ends();
  expect([first.state, late.map(({ state }) => state)]).toEqual(["fresh", [undefined, undefined, undefined]]);
  expect(lookedAt()).toEqual([1, 1]);
  await looks[1]?.ends();
  expect(late.map(({ state }) => state)).toEqual(["fresh", "fresh", "fresh"]);
});

test("who comes during the second look gets a third", async () => {
  const { looks, lookedAt, refresh } = openLooks();
  refresh(1);
  refresh(1);
  await looks[0]?.ends();
  const third = refresh(1);
  await looks[1]?.ends();
  expect([lookedAt(), third.state]).toEqual([[1, 1, 1], undefined]);
  await looks[2]?.ends();
  expect(third.state).toBe("fresh");
});

test("each section has looks of its own", async () => {
  const { looks, lookedAt, refresh } = openLooks();
  const [one, other] = [refresh(1), refresh(2)];
  expect(lookedAt()).toEqual([1, 2]);
  await looks[1]?.ends();
  expect([one.state, other.state]).toEqual([undefined, "fresh"]);
});

test("when nobody waits the next caller looks anew, at once", async () => {
  const { looks, lookedAt, refresh } = openLooks();
  refresh(1);
  await looks[0]?.ends();
  refresh(1);
  expect(lookedAt()).toEqual([1, 1]);
});

test("a look that fails is told to those who waited for it, not to those who wait for the next", async () => {
  const { looks, refresh } = openLooks();
  const first = refresh(1);
  const late = refresh(1);
  await looks[0]?.fails();
  expect([first.state, late.state]).toEqual(["failed", undefined]);
  await looks[1]?.ends();
  expect(late.state).toBe("fresh");
});

test("after a look that failed the next caller looks anew", async () => {
  const { looks, refresh } = openLooks();
  refresh(1);
  await looks[0]?.fails();
  const next = refresh(1);
  await looks[1]?.ends();
  expect(next.state).toBe("fresh");
});

test("neighbouring sections are one range of the look, others one each", async () => {
  const looked: unknown[] = [];
  const freeSeats = new FreeSeats(async (ranges) => void looked.push(ranges));
  const at = (firstSeatId: number, seatCount: number) => ({ firstSeatId, seatCount }) as Section;
  await freeSeats.refresh([at(11, 5), at(1, 10), at(30, 2)]);
  expect(looked).toEqual([
    [
      { first: 1, last: 15 },
      { first: 30, last: 31 },
    ],
  ]);
});
