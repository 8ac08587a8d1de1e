import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { findBestSeats, type SeatSearch } from "../../src/venue/best-available.ts";
import { Seating } from "../../src/venue/layout.ts";
import { drawn, type Hall, seatingOf } from "./hall.ts";
import { slowSearch } from "./slow-search.ts";

const position = fc.nat({ max: 9 });
const area = fc.record(
  {
    ...{ fromRow: fc.nat({ max: 4 }), toRow: fc.nat({ max: 4 }), fromSeat: position, toSeat: position },
    ...{ priceTier: fc.nat({ max: 2 }), accessible: fc.boolean(), restrictedView: fc.boolean() },
  },
  { requiredKeys: ["fromRow", "toRow", "fromSeat", "toSeat"] },
);
const hall: fc.Arbitrary<Hall> = fc.record({
  rows: fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 5 }),
  areas: fc.array(area, { maxLength: 3 }),
  x: fc.integer({ min: -8, max: 8 }),
  y: fc.integer({ min: -4, max: 8 }),
  seatSpacing: fc.constantFrom(0.5, 1, 3),
  rowSpacing: fc.constantFrom(0.5, 1, 4),
});
const focal = fc.record({ x: fc.integer({ min: -15, max: 15 }), y: fc.integer({ min: -5, max: 15 }) });
/** From nearly sold out to nearly empty. */
const free = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.array(fc.nat({ max: 9 }), { minLength: 150, maxLength: 150 }))
  .map(([level, seats]) => seats.map((seat) => seat < level));
const search: fc.Arbitrary<SeatSearch> = fc
  .record({
    halls: fc.array(hall, { minLength: 1, maxLength: 3 }),
    free,
    quantity: fc.integer({ min: 1, max: 7 }),
    tiers: fc.option(fc.uniqueArray(fc.nat({ max: 2 }), { minLength: 1, maxLength: 2 }), { nil: undefined }),
    accessible: fc.constantFrom("only" as const, "any" as const, "avoid" as const),
    adjacency: fc.constantFrom("required" as const, "preferred" as const),
    focal: fc.option(focal, { nil: undefined }),
  })
  .map(({ halls, tiers, free, ...wish }) => ({
    ...wish,
    ...(tiers && { priceTiers: new Set(tiers) }),
    // Ids of the sections do not follow each other: 1, 51, 101.
    sections: halls.map((hall, number) => ({ firstSeatId: 50 * number + 1, seating: seatingOf(hall) })),
    isFree: (seatId) => free[seatId - 1] ?? false,
    mayHaveFree: (first, count) => free.slice(first - 1, first - 1 + count).includes(true),
  }));

const around = (hall: ReturnType<typeof drawn>, wish: Partial<SeatSearch>) =>
  findBestSeats({
    ...{ quantity: 2, accessible: "avoid", adjacency: "preferred", focal: undefined, ...hall, ...wish },
  });

describe("the best available seats", () => {
  test("are in every hall as good as the best of all groups there are, in the first step that has one", () => {
    const steps = new Map<string, number>();
    fc.assert(
      fc.property(search, (wish) => {
        const found = findBestSeats(wish);
        const expected = slowSearch(wish);
        const step = expected?.step ?? "none";
        steps.set(step, (steps.get(step) ?? 0) + 1);
        if (!expected) return expect(found).toBeUndefined();
        expect(found).toBeArrayOfSize(wish.quantity);
        const cost = expected.costOf(found ?? []);
        expect(cost.slice(0, -1)).toEqual(expected.cost.slice(0, -1));
        expect(cost.at(-1)).toBeCloseTo(expected.cost.at(-1) ?? Number.NaN, 6);
      }),
      { numRuns: 4000 },
    );
    expect([...steps.keys()].toSorted()).toEqual([
      "adjacent",
      "none",
      "one section",
      "several sections",
      "split",
    ]);
  });

  test("are free, of the right kind, no fewer than asked for, each once and ascending; or there are none", () => {
    fc.assert(
      fc.property(search, (wish) => {
        const found = findBestSeats(wish);
        const open = wish.sections.flatMap(({ firstSeatId, seating }) =>
          Array.from({ length: seating.seatCount }, (_, index) => index)
            .filter((index) => wish.priceTiers?.has(seating.priceTierOf(index)) ?? true)
            .filter((index) => wish.accessible !== "only" || seating.isAccessible(index))
            .map((index) => firstSeatId + index)
            .filter(wish.isFree),
        );
        if (wish.adjacency === "preferred") expect(found !== undefined).toBe(open.length >= wish.quantity);
        if (!found) return;
        expect(new Set(found).size).toBe(wish.quantity);
        expect(found.filter((seatId) => !open.includes(seatId))).toEqual([]);
        expect(found).toEqual(found.toSorted((a, b) => a - b));
      }),
      { numRuns: 4000 },
    );
  });

  test("are side by side in one row when that is required", () => {
    fc.assert(
      fc.property(search, (wish) => {
        const found = findBestSeats({ ...wish, adjacency: "required" });
        const [first] = found ?? [];
        if (!found || first === undefined) return;
        expect(found).toEqual(found.map((_, place) => first + place));
        const section = wish.sections.findLast(({ firstSeatId }) => firstSeatId <= first);
        const rows = found.map((seatId) => section?.seating.rowOf(seatId - section.firstSeatId));
        expect(new Set(rows).size).toBe(1);
      }),
      { numRuns: 2000 },
    );
  });

  test("are in the middle of the first row when all is free and nobody says where to look", () => {
    expect(around(drawn("........", "........"), { quantity: 4 })).toEqual([3, 4, 5, 6]);
  });

  test("are nearest to the focal point", () => {
    const hall = drawn("........", "........", "........");
    expect(around(hall, { focal: { x: 1, y: 1.9 } })).toEqual([21, 22]);
  });

  test("leave no seat alone while another row has room", () => {
    expect(around(drawn("x...x", "....."), {})).toEqual([6, 7]);
  });

  test("leave a seat alone rather than part the group", () => {
    expect(around(drawn("x...x", "x.x.x"), {})).toEqual([2, 3]);
  });

  test("fill a gap that fits before they break into a long row", () => {
    expect(around(drawn("xxx..x"), {})).toEqual([4, 5]);
  });

  test("are in two rows, one part behind the other, where no row has enough", () => {
    expect(around(drawn("..xxxx..", "xxx..xxx", "xxxx..xx"), { quantity: 4 })).toEqual([12, 13, 21, 22]);
  });

  test("leave nobody of four alone where two and two is to be had", () => {
    expect(around(drawn("x...xxxx", "xx.xxx..", "xxxxxx.."), { quantity: 4 })).toEqual([15, 16, 23, 24]);
  });

  test("are the nearest there are where no two rows have enough", () => {
    expect(around(drawn(".xx.xx.", "xxxxxxx", "...xxxx"), { quantity: 4 })).toEqual([1, 4, 16, 17]);
  });

  test("are not scattered when they must be adjacent", () => {
    expect(around(drawn(".x.x.x."), { adjacency: "required" })).toBeUndefined();
  });

  test("have a full view, however far, before a restricted one of the same step", () => {
    const seating = seatingOf({
      ...{ rows: [4, 4, 4], x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
      areas: [{ fromRow: 0, toRow: 1, fromSeat: 0, toSeat: 3, restrictedView: true }],
    });
    const sections = [{ firstSeatId: 1, seating }];
    expect(around({ sections, isFree: () => true }, { quantity: 4 })).toEqual([9, 10, 11, 12]);
    expect(around({ sections, isFree: (seatId) => seatId !== 10 }, { quantity: 4 })).toEqual([1, 2, 3, 4]);
  });

  test("leave no seat alone that the group itself may not have, when it is parted", () => {
    const { isFree } = drawn("x...x", "xx.xx", "x..xx");
    const seating = seatingOf({
      ...{ rows: [5, 5, 5], x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
      areas: [{ fromRow: 0, toRow: 0, fromSeat: 1, toSeat: 1, accessible: true }],
    });
    expect(around({ sections: [{ firstSeatId: 1, seating }], isFree }, { quantity: 3 })).toEqual([8, 12, 13]);
  });

  describe("with accessible seats in the first row", () => {
    const seating = seatingOf({
      ...{ rows: [4, 4, 4], x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
      areas: [{ fromRow: 0, toRow: 0, fromSeat: 0, toSeat: 3, accessible: true }],
    });
    const among = (taken: number[], accessible: SeatSearch["accessible"], quantity = 2) =>
      around(
        { sections: [{ firstSeatId: 1, seating }], isFree: (seatId) => !taken.includes(seatId) },
        { accessible, quantity },
      );

    test("leave those alone while there are others, even if the group is parted", () => {
      expect(among([], "avoid", 4)).toEqual([5, 6, 7, 8]);
      expect(among([7, 8, 11, 12], "avoid", 4)).toEqual([5, 6, 9, 10]);
    });

    test("take those when there are no others, and no more of them than must be", () => {
      expect(among([5, 6, 7, 8, 9, 10, 11, 12], "avoid")).toEqual([1, 2]);
      expect(among([5, 6, 7, 8, 10, 11, 12], "avoid")).toEqual([1, 2]);
      expect(among([2, 7, 8, 9, 10, 11, 12], "avoid", 3)).toEqual([1, 5, 6]);
    });

    test("are among those alone, or wherever they are nearest, as the buyer says", () => {
      expect(among([2, 3], "only", 2)).toEqual([1, 4]);
      expect(among([2, 3], "any", 2)).toEqual([5, 6]);
      expect(among([], "any", 4)).toEqual([1, 2, 3, 4]);
    });
  });

  test("are looked for in all the sections, and never in general admission", () => {
    const seating = (x: number) =>
      seatingOf({ ...{ rows: [2], areas: [], x, y: 0, seatSpacing: 1, rowSpacing: 1 } });
    const sections = [
      { firstSeatId: 1, seating: new Seating({ kind: "general", capacity: 10, priceTier: 0 }) },
      { firstSeatId: 11, seating: seating(-5) },
      { firstSeatId: 13, seating: seating(3) },
    ];
    const focal = { x: 0, y: 0 };
    expect(around({ sections, isFree: () => true }, { focal })).toEqual([13, 14]);
    expect(around({ sections, isFree: (seatId) => seatId !== 13 }, { focal })).toEqual([11, 12]);
    expect(around({ sections, isFree: () => true }, { focal, quantity: 3 })).toEqual([12, 13, 14]);
    expect(around({ sections, isFree: () => true }, { focal, quantity: 5 })).toBeUndefined();
  });

  test("are found where the seats of a section all stand in one point, or nearly so", () => {
    const seating = (x: number, seatSpacing: number) =>
      seatingOf({ ...{ rows: [3], areas: [], x, y: 0, seatSpacing, rowSpacing: 1 } });
    const focal = { x: 0.4, y: 0 };
    for (const x of [0.3, 0.5]) {
      const sections = [
        { firstSeatId: 1, seating: seating(0, 1) },
        { firstSeatId: 4, seating: seating(x, 1e-320) },
      ];
      expect(around({ sections, isFree: () => true }, { focal, quantity: 1 })).toEqual([4]);
    }
  });

  test("are found with few looks: a part of the section while it sells, not much over one a seat where it is sold", () => {
    const seating = seatingOf({
      ...{ rows: Array.from({ length: 400 }, () => 50), areas: [] },
      ...{ x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
    });
    const looksAt = (isTaken: (seatId: number) => boolean, wish: Partial<SeatSearch> = {}) => {
      let looks = 0;
      const isFree = (seatId: number) => ++looks > 0 && !isTaken(seatId);
      around({ sections: [{ firstSeatId: 1, seating }], isFree }, { quantity: 4, ...wish });
      return looks;
    };
    expect(looksAt(() => false)).toBeLessThan(500);
    expect(looksAt((seatId) => seatId % 7 < 3)).toBeLessThan(2000);
    expect(looksAt((seatId) => seatId % 7 < 3, { focal: { x: 200, y: 0 } })).toBeLessThan(1000);
    expect(looksAt(() => true)).toBeLessThanOrEqual(25_000);
    expect(looksAt(() => true, { quantity: 1 })).toBe(20_000);
    expect(looksAt(() => true, { adjacency: "required" })).toBeLessThanOrEqual(5000);
    expect(looksAt((seatId) => seatId % 2 === 0)).toBeLessThanOrEqual(40_000);
  });
});
