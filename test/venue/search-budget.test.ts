import { describe, expect, test } from "bun:test";
import { findBestSeats, type SeatSearch } from "../../src/venue/best-available.ts";
import { nextFree } from "../../src/venue/general-admission.ts";
import { type AssignedLayout, Seating } from "../../src/venue/layout.ts";
import { SearchBudget } from "../../src/venue/search-budget.ts";

const ROWS = 40;
const SEATS_PER_ROW = 50;
const SEATS = ROWS * SEATS_PER_ROW;

const layout: AssignedLayout = {
  ...{ kind: "assigned", priceTier: 0, areas: [], x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
  rows: Array.from({ length: ROWS }, (_, row) => ({ label: `${row}`, seatCount: SEATS_PER_ROW })),
  numbering: { perRow: true, start: 1, step: 1, prefix: "" },
};
/** A house of 10 sections. */
const sections = Array.from({ length: 10 }, (_, place) => ({
  firstSeatId: 1 + place * SEATS,
  seating: new Seating(layout),
}));

/** How many seats a search looked at, and what it found. */
function look(more: Partial<SeatSearch>, limitSteps = Number.POSITIVE_INFINITY) {
  const budget = new SearchBudget(limitSteps);
  let looks = 0;
  const { isFree = () => true } = more;
  const found = findBestSeats({
    ...{
      quantity: 20,
      sections,
      accessible: "any",
      adjacency: "preferred",
      focal: undefined,
      budget,
      ...more,
    },
    isFree: (seatId) => {
      looks++;
      return isFree(seatId);
    },
  });
  return { found, looks, budget };
}

describe("a search with a budget", () => {
  test.each<[what: string, more: Partial<SeatSearch>]>([
    ["no seats side by side", { isFree: (id) => id % 12 !== 0, adjacency: "required" }],
    ["a group to split", { isFree: (id) => id % 12 !== 0 }],
    ["single seats", { isFree: (id) => id % 2 === 0 }],
    ["nearly nothing", { isFree: (id) => id % 977 === 0 }],
    ["nothing", { isFree: () => false }],
  ])("ends when it is spent, where there is %s", (_what, more) => {
    const limit = 3000;
    const whole = look(more);
    const { looks, budget } = look(more, limit);
    expect(whole.looks).toBeGreaterThan(2 * limit);
    expect(budget.isSpent).toBe(true);
    // Beyond it at most what was begun: a row, or one group.
    expect(looks).toBeLessThan(2 * limit);
  });

  test("gives the best that it has found until then", () => {
    const isFree = (id: number) => id > 100 && id <= 120;
    expect(look({ isFree, adjacency: "required" }, SEATS).found).toEqual(
      Array.from({ length: 20 }, (_, place) => 101 + place),
    );
  });

  test.each(["required", "preferred"] as const)(
    "is spent a little on each row that is sold out, with adjacent seats %s",
    (adjacency) => {
      let rows = 0;
      const mayHaveFree = () => ++rows === 0;
      const { looks, budget } = look({ adjacency, mayHaveFree });
      expect([looks, rows]).toEqual([0, adjacency === "required" ? 400 : 800]);
      expect(budget.spentSteps).toBe(2 * rows);
      rows = 0;
      look({ adjacency, mayHaveFree }, 100);
      expect(rows).toBe(50);
    },
  );

  test("is not begun in sections that have no seat of the kind", () => {
    expect(look({ accessible: "only" })).toMatchObject({ found: undefined, looks: 0 });
    expect(look({ priceTiers: new Set([1]) })).toMatchObject({ found: undefined, looks: 0 });
  });

  test("is spent by all searches together, places of general admission too", () => {
    const budget = new SearchBudget(2000);
    const floor = { firstSeatId: 1, seatCount: 100_000 };
    let looks = 0;
    const isFree = () => {
      looks++;
      return false;
    };
    expect(nextFree(floor, 1, 0, isFree, budget)).toBeUndefined();
    expect(nextFree(floor, 1, 0, isFree, budget)).toBeUndefined();
    expect(looks).toBeLessThan(4000);
  });
});
