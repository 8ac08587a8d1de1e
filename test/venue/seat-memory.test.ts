import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SeatMemory, type SeatStatus, VERSION_LIMIT } from "../../src/venue/seat-memory.ts";

const NEWEST_VERSION = VERSION_LIMIT - 1;
const PAGE_SEATS = 4096;
const PAGE_LIMIT = 4096;
const STATES: [SeatStatus, boolean][] = [
  ["available", false],
  ["held", false],
  ["reserved", false],
  ["reserved", true],
];

/** A version of a seat has one state, in the database and in whatever tells of it. */
const stateOf = (seatId: number, version: number) =>
  STATES[(seatId * 7 + version) % 4] ?? ["available", false];

/** Neighbours on a page, both sides of its end, and the far end of all ids. */
const seatId = fc.constantFrom(
  ...[1, 2, PAGE_SEATS - 1, PAGE_SEATS, PAGE_SEATS + 1, 3 * PAGE_SEATS + 5, Number.MAX_SAFE_INTEGER],
);
const version = fc.oneof(
  fc.integer({ min: 0, max: 6 }),
  fc.integer({ min: NEWEST_VERSION - 2, max: NEWEST_VERSION + 2 }),
);

describe("the memory of seats", () => {
  test("forgets all seats, those of the page that was looked at last too", () => {
    for (const seatId of [1, PAGE_SEATS + 1, 3 * PAGE_SEATS]) {
      const memory = new SeatMemory();
      memory.learn(seatId, 3, "reserved", true);
      expect(memory.isGone(seatId)).toBe(true);
      memory.clear();
      expect([memory.isGone(seatId), memory.statusOf(seatId), memory.size]).toEqual([false, undefined, 0]);
    }
  });

  test("knows a range only if it knows each of its seats, from the first to the last", () => {
    const memory = new SeatMemory();
    const first = PAGE_SEATS - 2;
    const end = 3 * PAGE_SEATS + 2;
    for (let seatId = first; seatId < end; seatId++) memory.learn(seatId, 0, "available", false);
    expect(memory.knowsAll(first, end - first)).toBe(true);
    expect([memory.knowsAll(first - 1, 2), memory.knowsAll(end - 1, 2)]).toEqual([false, false]);
    for (const hole of [first, PAGE_SEATS, 2 * PAGE_SEATS + 9, end - 1]) {
      memory.forget(hole);
      expect([hole, memory.knowsAll(first, end - first)]).toEqual([hole, false]);
      expect(memory.knowsAll(first, hole - first)).toBe(true);
      expect(memory.knowsAll(hole + 1, end - hole - 1)).toBe(true);
      memory.learn(hole, 0, "available", false);
    }
  });

  test("forgets one seat and no other", () => {
    const memory = new SeatMemory();
    memory.learn(1, 3, "reserved", true);
    memory.learn(2, 1, "available", false);
    memory.forget(1);
    memory.forget(9);
    expect([memory.isGone(1), memory.versionOf(1), memory.size]).toEqual([false, -1, 1]);
    expect([memory.versionOf(2), memory.mayHaveAvailable(1, 2)]).toEqual([1, true]);
    memory.forget(2);
    expect([memory.size, memory.mayHaveAvailable(1, 2)]).toEqual([0, false]);
  });

  test("knows of each seat the newest of what it heard, in whatever order it came", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(seatId, version), { maxLength: 60 }), (heard) => {
        const memory = new SeatMemory();
        const newest = new Map<number, number>();
        for (const [seat, at] of heard) {
          memory.learn(seat, at, ...stateOf(seat, at));
          if (at <= NEWEST_VERSION) newest.set(seat, Math.max(at, newest.get(seat) ?? -1));
        }
        expect(memory.size).toBe(newest.size);
        for (const [seat] of heard) {
          const at = newest.get(seat);
          const [status, final] = at === undefined ? ["available", false] : stateOf(seat, at);
          expect(memory.versionOf(seat)).toBe(at ?? -1);
          expect(memory.isGone(seat)).toBe(status === "reserved" && final === true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("does not let an older message bring a sold seat back", () => {
    const memory = new SeatMemory();
    memory.learn(7, 2, "reserved", true);
    memory.learn(7, 1, "available", false);
    expect(memory.isGone(7)).toBe(true);
    expect(memory.versionOf(7)).toBe(2);
  });

  test("calls a seat gone only when it is reserved for good", () => {
    const memory = new SeatMemory();
    memory.learn(1, 1, "available", true);
    memory.learn(2, 1, "held", true);
    memory.learn(3, 1, "reserved", false);
    memory.learn(4, 1, "reserved", true);
    expect([1, 2, 3, 4, 5].map((seat) => memory.isGone(seat))).toEqual([false, false, false, true, false]);
  });

  test("does not remember a version beyond what its bits can hold", () => {
    const memory = new SeatMemory();
    memory.learn(1, NEWEST_VERSION + 1, "reserved", true);
    expect([memory.isGone(1), memory.versionOf(1), memory.size]).toEqual([false, -1, 0]);
    memory.learn(1, NEWEST_VERSION, "reserved", true);
    expect([memory.isGone(1), memory.versionOf(1), memory.size]).toEqual([true, NEWEST_VERSION, 1]);
  });

  test("knows nothing any more when it is cleared", () => {
    const memory = new SeatMemory();
    memory.learn(1, 5, "reserved", true);
    memory.clear();
    expect([memory.isGone(1), memory.versionOf(1), memory.size]).toEqual([false, -1, 0]);
    memory.learn(1, 2, "available", false);
    expect(memory.versionOf(1)).toBe(2);
  });

  test("stops growing at its page limit and still learns of the seats it has", () => {
    const memory = new SeatMemory();
    for (let page = 0; page < PAGE_LIMIT; page++) memory.learn(page * PAGE_SEATS + 1, 1, "available", false);
    memory.learn(PAGE_LIMIT * PAGE_SEATS + 1, 1, "reserved", true);
    expect(memory.isGone(PAGE_LIMIT * PAGE_SEATS + 1)).toBe(false);
    expect(memory.size).toBe(PAGE_LIMIT);
    memory.learn(1, 2, "reserved", true);
    expect(memory.isGone(1)).toBe(true);
  });
});

describe("what searches and maps ask of it", () => {
  test("a seat is available only when it was free at the newest version that was heard of", () => {
    const memory = new SeatMemory();
    expect(memory.isAvailable(1)).toBe(false);
    memory.learn(1, 1, "available", false);
    expect(memory.isAvailable(1)).toBe(true);
    for (const status of ["held", "reserved"] as const) {
      memory.learn(1, 2, status, false);
      expect(memory.isAvailable(1)).toBe(false);
    }
    memory.learn(1, 1, "available", false);
    expect(memory.isAvailable(1)).toBe(false);
  });

  test("its count of changes moves with what is new, and stands still else", () => {
    const memory = new SeatMemory();
    const moved = (learn: () => void) => {
      const before = memory.changes;
      learn();
      return memory.changes !== before;
    };
    expect(moved(() => memory.learn(1, 2, "held", false))).toBe(true);
    expect(moved(() => memory.learn(1, 2, "held", false))).toBe(false);
    expect(moved(() => memory.learn(1, 1, "available", false))).toBe(false);
    expect(moved(() => memory.learn(1, 3, "available", false))).toBe(true);
    expect(moved(() => memory.clear())).toBe(true);
  });

  test("the packed statuses are those of each seat, wherever the section begins and ends", () => {
    const codes = { available: 1, held: 2, reserved: 3 };
    fc.assert(
      fc.property(
        fc.integer({ min: PAGE_SEATS - 9, max: PAGE_SEATS + 3 }),
        fc.integer({ min: 0, max: 20 }),
        fc.array(fc.integer({ min: PAGE_SEATS - 12, max: PAGE_SEATS + 30 }), { maxLength: 40 }),
        (firstSeatId, seatCount, learned) => {
          const memory = new SeatMemory();
          for (const id of learned) memory.learn(id, 1, ...stateOf(id, 1));
          const packed = new Uint8Array(Math.ceil(seatCount / 4));
          memory.packStatuses(firstSeatId, seatCount, packed);
          const wanted = new Uint8Array(packed.length);
          for (let index = 0; index < seatCount; index++) {
            const id = firstSeatId + index;
            const code = learned.includes(id) ? codes[stateOf(id, 1)[0]] : 0;
            wanted[index >> 2] = (wanted[index >> 2] ?? 0) + code * 4 ** (index % 4);
          }
          expect(packed).toEqual(wanted);
        },
      ),
    );
  });
});
