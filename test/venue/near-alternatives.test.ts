import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Seating } from "../../src/venue/layout.ts";
import { nearAlternatives } from "../../src/venue/near-alternatives.ts";
import { drawn, seatingOf } from "./hall.ts";

describe("the alternatives to seats that are gone", () => {
  test("are the nearest that are free, no more than asked for", () => {
    const hall = drawn("x...x", ".xxx.", "xx.xx");
    expect(nearAlternatives({ ...hall, asked: [8], limit: 3 })).toEqual([3, 13, 2]);
    expect(nearAlternatives({ ...hall, asked: [8], limit: 9 })).toEqual([3, 13, 2, 4, 6, 10]);
  });

  test("are near to any of the seats asked for, and none of those", () => {
    const hall = drawn("..x......x");
    expect(nearAlternatives({ ...hall, asked: [2, 3, 10], limit: 3 })).toEqual([1, 4, 9]);
  });

  test("are accessible only in place of one that is", () => {
    const seating = seatingOf({
      ...{ rows: [5], x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
      areas: [{ fromRow: 0, toRow: 0, fromSeat: 0, toSeat: 1, accessible: true }],
    });
    const hall = { sections: [{ firstSeatId: 1, seating }], isFree: () => true, limit: 2 };
    expect(nearAlternatives({ ...hall, asked: [3] })).toEqual([4, 5]);
    expect(nearAlternatives({ ...hall, asked: [2] })).toEqual([1, 3]);
  });

  test("are in the section of the seat, and none where that is unknown", () => {
    const hall = drawn("...");
    const sections = [...hall.sections, ...hall.sections.map(({ seating }) => ({ firstSeatId: 4, seating }))];
    expect(nearAlternatives({ sections, isFree: () => true, asked: [4], limit: 5 })).toEqual([5, 6]);
    expect(nearAlternatives({ sections, isFree: () => true, asked: [7, 0], limit: 5 })).toEqual([]);
  });

  test("are other places of general admission", () => {
    const seating = new Seating({ kind: "general", capacity: 100, priceTier: 0 });
    const found = nearAlternatives({
      ...{ sections: [{ firstSeatId: 1, seating }], asked: [50], limit: 5 },
      isFree: (seatId) => seatId > 45,
    });
    expect(found).toEqual([46, 47, 48, 49, 51]);
  });

  test("cost a few hundred looks for a seat, even where nothing is free", () => {
    const seating = seatingOf({
      ...{ rows: Array.from({ length: 100 }, () => 100), areas: [] },
      ...{ x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
    });
    let looks = 0;
    const isFree = () => ++looks < 0;
    nearAlternatives({ sections: [{ firstSeatId: 1, seating }], isFree, asked: [5050], limit: 5 });
    expect(looks).toBe(11 * 41);
  });

  test("are the same as a look at every seat finds", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.boolean(), { minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 5 }),
        fc.uniqueArray(fc.nat({ max: 8 }), { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 5 }),
        (rows, places, limit) => {
          const hall = drawn(...rows.map((row) => row.map((free) => (free ? "." : "x")).join("")));
          const seats = hall.sections.flatMap(({ seating }) =>
            Array.from({ length: seating.seatCount }, (_, index) => ({
              id: index + 1,
              ...seating.placeOf(index),
            })),
          );
          const asked = places.map((place) => (place % seats.length) + 1);
          const distanceOf = ({ x, y }: (typeof seats)[number]) =>
            Math.min(
              ...seats
                .filter(({ id }) => asked.includes(id))
                .map((gone) => ((gone.x ?? 0) - (x ?? 0)) ** 2 + ((gone.y ?? 0) - (y ?? 0)) ** 2),
            );
          const nearest = seats
            .filter(({ id }) => hall.isFree(id) && !asked.includes(id))
            .toSorted((a, b) => distanceOf(a) - distanceOf(b))
            .slice(0, limit);
          const found = nearAlternatives({ ...hall, asked, limit });
          expect(new Set(found).size).toBe(found.length);
          expect(found.filter((id) => !hall.isFree(id) || asked.includes(id))).toEqual([]);
          const distances = found.map((id) => seats.filter((seat) => seat.id === id).map(distanceOf));
          expect(distances.flat()).toEqual(nearest.map(distanceOf));
        },
      ),
      { numRuns: 1000 },
    );
  });
});
