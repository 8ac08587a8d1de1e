import { describe, expect, test } from "bun:test";
import { type AreaLayout, type AssignedLayout, PRICE_TIER_LIMIT, Seating } from "../../src/venue/layout.ts";

const assigned = (changes: Partial<AssignedLayout> = {}): AssignedLayout => ({
  kind: "assigned",
  rows: [
    { label: "A", seatCount: 3 },
    { label: "B", seatCount: 5 },
    { label: "C", seatCount: 4 },
  ],
  numbering: { perRow: true, start: 1, step: 1, prefix: "" },
  ...{ priceTier: 0, areas: [], x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
  ...changes,
});
const indices = (seating: Seating) => Array.from({ length: seating.seatCount }, (_, index) => index);
const numbersOf = (numbering: AssignedLayout["numbering"]) => {
  const seating = new Seating(assigned({ numbering }));
  return indices(seating).map((index) => seating.placeOf(index).seatNumber);
};
const withAreas = (...areas: AreaLayout[]) => new Seating(assigned({ priceTier: 2, areas }));
const whole = { fromRow: 0, toRow: 2, fromSeat: 0, toSeat: 4 };

describe("the seating of a section", () => {
  test("has its seats row by row, and knows the row of each", () => {
    const seating = new Seating(assigned());
    expect([seating.seatCount, seating.rowCount]).toEqual([12, 3]);
    expect([...seating.rowStarts]).toEqual([0, 3, 8, 12]);
    expect(indices(seating).map((index) => seating.rowOf(index))).toEqual([
      ...[0, 0, 0],
      ...[1, 1, 1, 1, 1],
      ...[2, 2, 2, 2],
    ]);
    expect(
      indices(seating)
        .map((index) => seating.placeOf(index).rowLabel)
        .join(""),
    ).toBe("AAABBBBBCCCC");
  });

  test("finds the first and the last seat of every row, however many rows there are", () => {
    for (const rowCount of [1, 2, 3, 4, 7, 8, 100]) {
      const rows = Array.from({ length: rowCount }, (_, row) => ({
        label: `${row}`,
        seatCount: 1 + (row % 3),
      }));
      const seating = new Seating(assigned({ rows }));
      for (let row = 0; row < rowCount; row++) {
        expect(seating.rowOf(seating.startOf(row))).toBe(row);
        expect(seating.rowOf(seating.startOf(row + 1) - 1)).toBe(row);
      }
    }
  });

  test("numbers its seats from the start in each row, or on through all of them", () => {
    expect(numbersOf({ perRow: true, start: 1, step: 1, prefix: "" })).toEqual([
      "1",
      "2",
      "3",
      "1",
      "2",
      "3",
      "4",
      "5",
      "1",
      "2",
      "3",
      "4",
    ]);
    expect(numbersOf({ perRow: false, start: 1, step: 1, prefix: "S-" })).toEqual(
      Array.from({ length: 12 }, (_, index) => `S-${index + 1}`),
    );
  });

  test("numbers its seats from where and in the steps it is told, downwards too", () => {
    expect(numbersOf({ perRow: true, start: 101, step: 2, prefix: "" }).slice(3, 8)).toEqual([
      "101",
      "103",
      "105",
      "107",
      "109",
    ]);
    expect(numbersOf({ perRow: false, start: 12, step: -1, prefix: "B" }).at(-1)).toBe("B1");
  });

  test("stands its rows behind each other, each centred on the section's x", () => {
    const seating = new Seating(assigned({ x: 100, y: 50, seatSpacing: 2, rowSpacing: 10 }));
    const places = indices(seating).map((index) => seating.placeOf(index));
    expect(places.map(({ x }) => x)).toEqual([
      ...[98, 100, 102],
      ...[96, 98, 100, 102, 104],
      ...[97, 99, 101, 103],
    ]);
    expect(places.map(({ y }) => y)).toEqual([...[50, 50, 50], ...[60, 60, 60, 60, 60], ...[70, 70, 70, 70]]);
  });

  test("knows which seat of a row stands nearest to a place, its ends included", () => {
    const seating = new Seating(assigned({ x: 100, seatSpacing: 2 }));
    expect([99, 99.1, 101, -1000, 1000].map((x) => seating.nearestTo(x, 2))).toEqual([9, 9, 10, 8, 11]);
    for (const index of indices(seating)) {
      const row = seating.rowOf(index);
      expect(seating.nearestTo(seating.xOf(index, row), row)).toBe(index);
    }
    expect(new Seating(assigned({ seatSpacing: 0 })).nearestTo(7, 1)).toBe(3);
  });

  test("has the section's price tier and no flags where no area says otherwise", () => {
    const seating = withAreas();
    for (const index of indices(seating))
      expect(seating.placeOf(index)).toMatchObject({
        priceTier: 2,
        accessible: false,
        restrictedView: false,
      });
    expect([...seating.accessibleSeats]).toEqual([]);
  });

  test("gives the seats of an area, both ends included, what the area has of its own", () => {
    const area = { fromRow: 1, toRow: 2, fromSeat: 1, toSeat: 2 };
    const inArea = [4, 5, 9, 10];
    const tier = withAreas({ ...area, priceTier: 1 });
    const accessible = withAreas({ ...area, accessible: true });
    const restricted = withAreas({ ...area, restrictedView: true });
    expect(indices(tier).filter((index) => tier.priceTierOf(index) === 1)).toEqual(inArea);
    expect(indices(accessible).filter((index) => accessible.isAccessible(index))).toEqual(inArea);
    expect([...accessible.accessibleSeats]).toEqual(inArea);
    expect(indices(restricted).filter((index) => restricted.hasRestrictedView(index))).toEqual(inArea);
    expect(accessible.placeOf(4)).toMatchObject({ priceTier: 2, accessible: true, restrictedView: false });
    expect(restricted.placeOf(4)).toMatchObject({ priceTier: 2, accessible: false, restrictedView: true });
  });

  test("lets a later area change what it names, and nothing else", () => {
    const seating = withAreas(
      { ...whole, priceTier: 5, accessible: true, restrictedView: true },
      { ...whole, toRow: 0, priceTier: 0, accessible: false },
      { ...whole, toRow: 0, toSeat: 0, restrictedView: false },
    );
    expect(seating.placeOf(0)).toMatchObject({ priceTier: 0, accessible: false, restrictedView: false });
    expect(seating.placeOf(1)).toMatchObject({ priceTier: 0, accessible: false, restrictedView: true });
    expect(seating.placeOf(3)).toMatchObject({ priceTier: 5, accessible: true, restrictedView: true });
  });

  test("cuts an area at the end of each row and of the section", () => {
    const seating = withAreas({ fromRow: 0, toRow: 9, fromSeat: 3, toSeat: 99, accessible: true });
    expect([...seating.accessibleSeats]).toEqual([6, 7, 11]);
    expect([...withAreas({ ...whole, fromRow: 3, toRow: 5, accessible: true }).accessibleSeats]).toEqual([]);
  });

  test("keeps the highest price tier there may be apart from the flags", () => {
    const seating = withAreas({ ...whole, priceTier: PRICE_TIER_LIMIT - 1 });
    expect(seating.placeOf(0)).toMatchObject({
      priceTier: PRICE_TIER_LIMIT - 1,
      accessible: false,
      restrictedView: false,
    });
  });

  test("has in general admission places without row, number or position", () => {
    const seating = new Seating({ kind: "general", capacity: 500, priceTier: 3 });
    expect([seating.seatCount, seating.rowCount, seating.rowOf(499)]).toEqual([500, 1, 0]);
    expect(seating.placeOf(499)).toEqual({
      ...{ rowLabel: null, seatNumber: null, priceTier: 3, accessible: false, restrictedView: false },
      ...{ x: null, y: null },
    });
  });

  test("has no seats where there are none", () => {
    const seating = new Seating({ kind: "general", capacity: 0, priceTier: 0 });
    expect([seating.seatCount, seating.rowOf(0)]).toEqual([0, 0]);
    const gap = new Seating(
      assigned({
        rows: [
          { label: "A", seatCount: 0 },
          { label: "B", seatCount: 2 },
        ],
      }),
    );
    expect([gap.rowOf(0), gap.rowOf(1), gap.placeOf(1).rowLabel]).toEqual([1, 1, "B"]);
  });
});
