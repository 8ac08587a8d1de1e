import { describe, expect, test } from "bun:test";
import type { Search, Unfit } from "../../src/reservations/seat-finder.ts";
import { openHouse } from "./house.ts";
import { seat, turn } from "./worker.ts";

const NOTHING: ReadonlySet<never> = new Set();

const anySeat = { quantity: 2, adjacency: "preferred", accessible: "avoid" } as const;

function searchOf(found: Search | Unfit): Search {
  if ("detail" in found) throw new Error(found.detail);
  return found;
}

function openSearch(wish: object, house = openHouse()) {
  const event = house.catalogue.event(1);
  if (!event) throw new Error("there is no event 1");
  return { ...house, found: house.finder.searchFor(event, wish) };
}

describe("a search", () => {
  test.each([
    ["in the sections that were named", { sections: ["Circle"] }, ["Circle"], [11, 12]],
    ["in the price tiers that were named", { priceTiers: ["Silver"] }, ["Stalls", "Circle"], [11, 12]],
    ["in every section with numbered seats else", {}, ["Stalls", "Circle"], [1, 2]],
  ])("goes on %s", (_where, more, sections, seatIds) => {
    const search = searchOf(openSearch({ bestAvailable: { ...anySeat, ...more } }).found);
    expect(search.sections.map(({ name }) => name)).toEqual(sections);
    expect<unknown>(search.next(NOTHING)).toEqual(seatIds);
  });

  test("begins where the event says everybody looks", () => {
    const { found } = openSearch(
      { bestAvailable: { ...anySeat, sections: ["Circle"] } },
      openHouse({ focalX: 10, focalY: 0 }),
    );
    expect(searchOf(found).next(NOTHING)).toEqual([13, 14].map(seat));
  });

  test("asks memory again each time", () => {
    const { found, memory } = openSearch({ bestAvailable: { ...anySeat, sections: ["Circle"] } });
    const search = searchOf(found);
    memory.learn(12, 1, "held", false);
    expect(search.next(NOTHING)).toEqual([13, 14].map(seat));
    for (const seatId of [11, 13, 14]) memory.learn(seatId, 1, "reserved", false);
    expect(search.next(NOTHING)).toBeUndefined();
  });

  test("passes over seats that are being decided on here", async () => {
    const house = openHouse();
    house.ask(13);
    await turn();
    const { found } = openSearch({ bestAvailable: { ...anySeat, sections: ["Circle"] } }, house);
    expect(searchOf(found).next(NOTHING)).toEqual([11, 12].map(seat));
  });

  test.each([
    ["best seats", { bestAvailable: { ...anySeat, sections: ["Circle"] } }, 11, 4],
    ["places", { section: "Floor", quantity: 2 }, 21, 6],
  ])("passes over the %s that are to be avoided", (_what, wish, firstSeatId, seatCount) => {
    const { found } = openSearch(wish);
    const all = Array.from({ length: seatCount }, (_, index) => seat(firstSeatId + index));
    const [free, other, ...rest] = all.toReversed();
    expect(
      searchOf(found)
        .next(new Set(rest))
        ?.toSorted((a, b) => b - a),
    ).toEqual([free, other] as never);
    expect(searchOf(found).next(new Set(all))).toBeUndefined();
  });

  test("gives places of general admission in turn, so that buyers of one moment do not fight for the first", () => {
    const { found } = openSearch({ section: "Floor", quantity: 2 });
    const search = searchOf(found);
    const given = [1, 2, 3].flatMap(() => search.next(NOTHING) ?? []);
    expect(new Set(given).size).toBe(6);
    expect(search.next(NOTHING)).toEqual(given.slice(0, 2));
  });

  test("jumps after a lost race, or it would follow a faster process and lose every one", () => {
    const jumps = Array.from({ length: 60 }, () => {
      const search = searchOf(openSearch({ section: "Floor", quantity: 2 }).found);
      const [first = seat(21), last = first] = search.next(NOTHING) ?? [];
      return search.next(new Set([first]))?.[0] !== (last === 26 ? 21 : last + 1);
    });
    expect(jumps).toContain(true);
  });

  test("gives no places where fewer are free than are wanted", () => {
    const { found, memory } = openSearch({ section: "Floor", quantity: 2 });
    for (const seatId of [21, 22, 23, 24, 25]) memory.learn(seatId, 1, "held", false);
    expect(searchOf(found).next(NOTHING)).toBeUndefined();
  });
});

describe("a wish that its event cannot fit", () => {
  test.each([
    ["section", { section: "Balcony", quantity: 1 }, 'section: there is no "Balcony" in event 1.'],
    [
      "section",
      { section: "Stalls", quantity: 1 },
      'section: "Stalls" has numbered seats; ask for seatIds or bestAvailable.',
    ],
    [
      "bestAvailable.sections",
      { bestAvailable: { ...anySeat, sections: ["Stalls", "Balcony"] } },
      'bestAvailable.sections: event 1 has no "Balcony" with numbered seats.',
    ],
    [
      "bestAvailable.sections",
      { bestAvailable: { ...anySeat, sections: ["Floor"] } },
      'bestAvailable.sections: event 1 has no "Floor" with numbered seats.',
    ],
    [
      "bestAvailable.priceTiers",
      { bestAvailable: { ...anySeat, priceTiers: ["Gold", "Tin"] } },
      'bestAvailable.priceTiers: there is no "Tin" in event 1.',
    ],
  ])("is told by its field, %s, and its value", (_field, wish, detail) => {
    expect(openSearch(wish).found).toEqual({ detail });
  });
});

describe("alternatives", () => {
  test("are up to 5 free seats near those that were asked for, none of them in flight", async () => {
    const house = openHouse();
    house.memory.learn(1, 1, "held", false);
    house.ask(3);
    await turn();
    const near = house.finder.alternativesTo([seat(2)]);
    expect(near).toHaveLength(5);
    for (const seatId of near) expect([4, 5, 6, 7, 8]).toContain(seatId);
  });

  test("are none for seats that nobody knows", () => {
    expect(openHouse().finder.alternativesTo([seat(9999)])).toEqual([]);
  });
});
