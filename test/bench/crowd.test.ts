import { describe, expect, test } from "bun:test";
import { crowdSequence, ZIPF_EXPONENT, zipfCounts } from "../../bench/generator/crowd.ts";

const SEATS = 1_000;
const REQUESTS = 10_000;

describe("the crowd of a sale", () => {
  test("sends exactly as many requests as it was asked to, and asks for every seat", () => {
    const counts = zipfCounts(SEATS, REQUESTS, ZIPF_EXPONENT);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(REQUESTS);
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(1);
  });

  test("wants the seat of rank r in proportion to 1 / r^exponent, beyond the one request for each", () => {
    const shared = REQUESTS - SEATS;
    for (const exponent of [0.5, 1, 1.5]) {
      const counts = zipfCounts(SEATS, REQUESTS, exponent);
      let total = 0;
      for (let rank = 1; rank <= SEATS; rank++) total += 1 / rank ** exponent;
      for (const rank of [1, 2, 10, 100, 1000]) {
        const expected = 1 + shared / rank ** exponent / total;
        // What rounding leaves is given one each to the first ranks.
        expect(Math.abs((counts[rank - 1] ?? 0) - expected)).toBeLessThanOrEqual(1);
      }
    }
  });

  test("refuses to sell out more seats than it sends requests", () => {
    expect(() => zipfCounts(10, 9, 1)).toThrow("sell them out");
  });

  test("asks for the very seats of the sale, in an order that is mixed and always the same", () => {
    const sequence = crowdSequence(501, SEATS, REQUESTS);
    expect(new Set(sequence).size).toBe(SEATS);
    expect(Math.min(...sequence)).toBe(501);
    expect(Math.max(...sequence)).toBe(500 + SEATS);
    expect(crowdSequence(501, SEATS, REQUESTS)).toEqual(sequence);
    // The most wanted seat is asked for through the whole sale, and is not the first of the house.
    const times = Map.groupBy(sequence.keys(), (index) => sequence[index] ?? 0);
    const [favourite, places = []] =
      [...times].toSorted(([, one], [, other]) => other.length - one.length)[0] ?? [];
    expect(favourite).not.toBe(501);
    expect(places.filter((place) => place < REQUESTS / 2).length / places.length).toBeWithin(0.4, 0.6);
  });
});
