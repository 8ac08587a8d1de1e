import { beforeEach, describe, expect, spyOn, test } from "bun:test";
import { MAP_AGE_MS, MapCache } from "../../src/catalogue/map-cache.ts";
import type { CatalogueEvent } from "../../src/venue/catalogue.ts";
import { Catalogue } from "../../src/venue/catalogue.ts";
import { SeatMemory, type SeatStatus } from "../../src/venue/seat-memory.ts";

const FIRST = 4090;

let memory: SeatMemory;
let nowMs: number;
let cache: MapCache;
beforeEach(() => {
  memory = new SeatMemory();
  nowMs = 0;
  cache = new MapCache(memory, () => nowMs);
});

/** An event with sections of that many seats, one after another. */
function eventOf(id: number, ...seatCounts: number[]): CatalogueEvent {
  const catalogue = new Catalogue();
  let firstSeatId = FIRST;
  const sections = seatCounts.map((seatCount, index) => {
    const section = {
      ...{ id: index + 1, eventId: id, name: `${index}`, firstSeatId, seatCount },
      layout: { kind: "general", capacity: seatCount, priceTier: 0 } as const,
    };
    firstSeatId += seatCount;
    return section;
  });
  const facts = {
    ...{
      id,
      name: "",
      currency: "EUR",
      cancellable: true,
      status: "open" as const,
      createdAtMs: 0,
      revision: 1,
    },
    ...{
      onSaleAtMs: null,
      offSaleAtMs: null,
      holdTtlSeconds: 1,
      holdLimitSeconds: 1,
      reservationLimitSeats: 1,
    },
    ...{ buyerLimitSeats: null, focalX: null, focalY: null, priceTiers: [] },
  };
  catalogue.replace([facts], sections);
  const event = catalogue.event(id);
  if (!event) throw new Error("the event was not taken in");
  return event;
}
const learn = (seatId: number, version: number, status: SeatStatus) =>
  memory.learn(seatId, version, status, false);

describe("a map from memory", () => {
  test("has 2 bits a seat, over the pages of memory, and says 0 of a seat that nobody knows", () => {
    const statuses: (SeatStatus | undefined)[] = Array.from(
      { length: 13 },
      (_, index) => (["available", "held", "reserved", undefined] as const)[(index * 7) % 4],
    );
    for (const [index, status] of statuses.entries()) if (status) learn(FIRST + index, 1, status);
    const { bytes } = cache.mapOf(eventOf(1, 13));
    const codes = statuses.map((status) => ["available", "held", "reserved"].indexOf(status ?? "") + 1);
    expect(
      Array.from({ length: 13 }, (_, index) => ((bytes[index >> 2] ?? 0) >> ((index & 3) * 2)) & 3),
    ).toEqual(codes);
    expect(bytes).toHaveLength(4);
  });

  test("counts the seats of each section, the empty bits behind its last seat not among them", () => {
    for (const [index, status] of (["available", "held", "reserved", "reserved", "held"] as const).entries())
      learn(FIRST + index, 1, status);
    const map = cache.mapOf(eventOf(1, 3, 5));
    expect(map.bytes).toHaveLength(1 + 2);
    expect(map.availability).toEqual([
      { unknown: 0, available: 1, held: 1, reserved: 1 },
      { unknown: 3, available: 0, held: 1, reserved: 1 },
    ]);
  });

  test("is made again when a seat has changed, but not before its time is over", () => {
    const event = eventOf(1, 4);
    const first = cache.mapOf(event);
    learn(FIRST, 1, "reserved");
    nowMs = MAP_AGE_MS - 1;
    expect(cache.mapOf(event)).toBe(first);
    nowMs = MAP_AGE_MS;
    const second = cache.mapOf(event);
    expect(second.bytes).toEqual(new Uint8Array([3]));
    nowMs = 1e9;
    expect(cache.mapOf(event)).toBe(second);
  });

  test("stays what it is, ETag and all, where the change was in another event", () => {
    const event = eventOf(1, 4);
    const first = cache.mapOf(event);
    learn(FIRST + 100, 1, "reserved");
    nowMs = MAP_AGE_MS;
    expect(cache.mapOf(event)).toBe(first);
  });

  test("is not even looked after while memory stands still", () => {
    const event = eventOf(1, 4);
    cache.mapOf(event);
    const packing = spyOn(memory, "packStatuses");
    nowMs = 1e9;
    cache.mapOf(event);
    expect(packing).not.toHaveBeenCalled();
  });

  test("is made again when memory was emptied", () => {
    const event = eventOf(1, 4);
    learn(FIRST, 1, "reserved");
    cache.mapOf(event);
    memory.clear();
    nowMs = MAP_AGE_MS;
    expect(cache.mapOf(event).bytes).toEqual(new Uint8Array([0]));
  });

  test("of the event that nobody has asked for longest makes way for others", () => {
    const events = Array.from({ length: 33 }, (_, index) => eventOf(index + 1, 4));
    const [one, two] = events;
    if (!one || !two) throw new Error("no events");
    const [first, second] = [cache.mapOf(one), cache.mapOf(two)];
    for (const event of events.slice(2, 32)) cache.mapOf(event);
    expect(cache.mapOf(one)).toBe(first);
    for (const event of events.slice(32)) cache.mapOf(event);
    expect(cache.mapOf(one)).toBe(first);
    expect(cache.mapOf(two)).not.toBe(second);
  });
});

test("memory counts a change only where it learns something new", () => {
  learn(FIRST, 2, "held");
  const { changes } = memory;
  learn(FIRST, 2, "held");
  learn(FIRST, 1, "available");
  expect(memory.changes).toBe(changes);
  learn(FIRST, 3, "available");
  expect(memory.changes).toBe(changes + 1);
});
