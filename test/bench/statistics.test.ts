import { describe, expect, test } from "bun:test";
import { median, medianOfKnown, ratioInRound } from "../../bench/statistics.ts";

describe("figures of several rounds", () => {
  test("are put together by the median, whatever their order", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([10, 1, 2, 9])).toBe(5.5);
    expect(median([])).toBeNaN();
  });

  test("go by those rounds that have one", () => {
    expect(medianOfKnown([Number.NaN, 3, 1])).toBe(2);
    expect(medianOfKnown([Number.NaN])).toBeNaN();
  });

  test("are compared within their own round only", () => {
    const yardsticks = [
      { round: 1, perSecond: 100, yardstick: "route at 50" },
      { round: 2, perSecond: 40, yardstick: "route at 50" },
      { round: 2, perSecond: 1, yardstick: "route at 256" },
    ];
    expect(ratioInRound({ round: 2, perSecond: 10, comparedWith: "route at 50" }, yardsticks)).toBe(0.25);
    expect(ratioInRound({ round: 3, perSecond: 10, comparedWith: "route at 50" }, yardsticks)).toBeNaN();
    expect(ratioInRound({ round: 1, perSecond: 10 }, [{ round: 1, perSecond: 5 }])).toBeNaN();
  });
});
