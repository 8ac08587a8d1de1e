import { describe, expect, test } from "bun:test";
import { contradictionIn, eventChange, eventDescription } from "../../src/catalogue/description.ts";
import { Seating, type SectionLayout } from "../../src/venue/layout.ts";

const EVENT = {
  name: "An event",
  currency: "EUR",
  priceTiers: [{ name: "Only", amountMinor: 1000 }],
};

function layoutOf(section: object, event: object = EVENT): SectionLayout {
  const { sections } = eventDescription.parse({ ...event, sections: [{ name: "One", ...section }] });
  const [made] = sections;
  if (!made) throw new Error("no section was made");
  return made.layout;
}

/** Row, number and so on of the seats of a section, by index. */
function placesOf(section: object, event?: object) {
  const seating = new Seating(layoutOf({ kind: "assigned", ...section }, event));
  return Array.from({ length: seating.seatCount }, (_, index) => seating.placeOf(index));
}
const names = (section: object) =>
  placesOf(section).map(({ rowLabel, seatNumber }) => `${rowLabel}-${seatNumber}`);

describe("a description of a section", () => {
  test("numbers the seats of each row from 1, and letters the rows, unless it says otherwise", () => {
    expect(names({ rows: 2, seatsPerRow: 3 })).toEqual(["A-1", "A-2", "A-3", "B-1", "B-2", "B-3"]);
  });

  test("letters more than 26 rows on with AA, AB and so on, each another", () => {
    const labels = names({ rows: 800, seatsPerRow: 1 }).map((name) => name.split("-")[0]);
    expect([25, 26, 27, 51, 52, 701, 702, 703].map((row) => labels[row])).toEqual([
      ...["Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA", "AAB"],
    ]);
    expect(new Set(labels).size).toBe(800);
  });

  test("numbers rows, skips numbers and runs on through the section where it says so", () => {
    const numbering = { perRow: false, start: 101, step: 2, prefix: "S-" };
    expect(names({ rows: 2, seatsPerRow: 2, rowLabels: "numbers", numbering })).toEqual([
      ...["1-S-101", "1-S-103", "2-S-105", "2-S-107"],
    ]);
  });

  test("may list rows of different lengths", () => {
    const rows = [
      { label: "Front", seats: 1 },
      { label: "Back", seats: 2 },
    ];
    expect(names({ rows })).toEqual(["Front-1", "Back-1", "Back-2"]);
  });

  test("says in areas what differs; the later one counts, short rows have less of it", () => {
    const event = {
      ...EVENT,
      priceTiers: ["Dear", "Cheap"].map((name) => ({ name, amountMinor: 1 })),
    };
    const rows = [
      { label: "A", seats: 3 },
      { label: "B", seats: 2 },
    ];
    const areas = [
      { rows: ["A", "B"], seats: [2, 3], priceTier: "Dear", accessible: true },
      { rows: ["A", "A"], seats: [3, 3], priceTier: "Cheap", restrictedView: true, accessible: false },
    ];
    const places = placesOf({ rows, areas, priceTier: "Cheap" }, event);
    expect(places.map(({ priceTier }) => priceTier)).toEqual([1, 0, 1, 1, 0]);
    expect(places.map(({ accessible }) => accessible)).toEqual([false, true, false, false, true]);
    expect(places.map(({ restrictedView }) => restrictedView)).toEqual([false, false, true, false, false]);
  });

  test("of general admission has places without row or number", () => {
    expect(layoutOf({ kind: "general", capacity: 3 })).toEqual({
      kind: "general",
      capacity: 3,
      priceTier: 0,
    });
  });

  test("may be as large as a request can ask for, and no larger", () => {
    expect(new Seating(layoutOf({ kind: "assigned", rows: 20_000, seatsPerRow: 50 })).seatCount).toBe(
      1_000_000,
    );
    expect(() => layoutOf({ kind: "assigned", rows: 20_000, seatsPerRow: 51 })).toThrow(
      "at most 1000000 seats",
    );
  });

  test("must not have its areas cover so much that laying them out takes long", () => {
    const whole = { rows: ["1", "1000"], accessible: true };
    const section = { kind: "assigned", rows: 1000, seatsPerRow: 1000, rowLabels: "numbers" };
    expect(() => layoutOf({ ...section, areas: Array(4).fill(whole) })).toThrow("must not cover more");
  });
});

describe("an area that does not fit its section", () => {
  const faultsOf = (section: object) => {
    const described = { kind: "assigned", rows: 3, seatsPerRow: 5, name: "One", ...section };
    const { error } = eventDescription.safeParse({ ...EVENT, sections: [described] });
    return error?.issues.map(({ path }) => path.slice(2).join("."));
  };

  test.each([
    [{ areas: [{ rows: ["A", "Z"] }] }, ["areas.0.rows.1"]],
    [{ areas: [{ rows: ["Y", "Z"], seats: [9, 9] }] }, ["areas.0.rows.0", "areas.0.rows.1"]],
    [{ areas: [{ rows: ["B", "Z"], seats: [9, 9] }] }, ["areas.0.rows.1"]],
    [{ areas: [{ rows: ["B", "A"] }] }, ["areas.0.rows"]],
    [{ areas: [{ rows: ["B", "A"], seats: [9, 8] }] }, ["areas.0.rows", "areas.0.seats"]],
    [{ areas: [{ rows: ["A", "B"], seats: [1, 6] }] }, ["areas.0.seats.1"]],
    [{ areas: [{ rows: ["A", "B"] }], seatsPerRow: undefined }, ["seatsPerRow"]],
  ])("is told only what is at fault: %j", (section, faults) => {
    expect(faultsOf(section)).toEqual(faults);
  });
});

describe("a description of an event", () => {
  const draftOf = (event: object) =>
    eventDescription.parse({ ...EVENT, sections: [{ name: "One", kind: "general", capacity: 1 }], ...event });

  test("gives limits where it names none; a long hold is not cut by the usual limit", () => {
    expect(draftOf({})).toMatchObject({
      ...{ holdTtlSeconds: 600, holdLimitSeconds: 1800, reservationLimitSeats: 20, buyerLimitSeats: null },
      ...{
        cancellable: false,
        status: "open",
        onSaleAtMs: null,
        offSaleAtMs: null,
        focalX: null,
        focalY: null,
      },
    });
    expect(draftOf({ holdTtlSeconds: 7200 }).holdLimitSeconds).toBe(7200);
  });

  test("has its times in any zone", () => {
    const { onSaleAtMs } = draftOf({ onSaleAt: "2026-12-01T10:00:00+01:00" });
    expect(onSaleAtMs).toBe(Date.UTC(2026, 11, 1, 9));
  });
});

test("a change leaves out what it does not name, and takes away what it names null", () => {
  expect(eventChange.parse({ name: "New" })).toEqual({ name: "New" });
  expect(eventChange.parse({ onSaleAt: null, focalPoint: null })).toEqual({
    ...{ onSaleAtMs: null, focalX: null, focalY: null },
  });
});

test("an event contradicts itself where it ends before it begins, or a hold outlives its limit", () => {
  const sound = { onSaleAtMs: 1, offSaleAtMs: 2, holdTtlSeconds: 10, holdLimitSeconds: 10 };
  expect(contradictionIn(sound)).toBeUndefined();
  expect(contradictionIn({ ...sound, offSaleAtMs: null })).toBeUndefined();
  expect(contradictionIn({ ...sound, offSaleAtMs: 1 })?.path).toEqual(["offSaleAt"]);
  expect(contradictionIn({ ...sound, holdLimitSeconds: 9 })?.path).toEqual(["holdLimitSeconds"]);
});

test("a focal point that single precision cannot tell from 0 is 0, which Postgres can keep", () => {
  const { focalX, focalY } = eventChange.parse({ focalPoint: { x: 2.3e-122, y: 0.1 } });
  expect([focalX, focalY]).toEqual([0, 0.1]);
});
