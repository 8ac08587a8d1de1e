import { describe, expect, test } from "bun:test";
import { nextFree } from "../../src/venue/general-admission.ts";

const section = { firstSeatId: 101, seatCount: 6 };
const next = (quantity: number, from: number, taken: number[] = []) =>
  nextFree(section, quantity, from, (seatId) => !taken.includes(seatId));

describe("the next places of general admission", () => {
  test("follow the cursor and leave out what is taken", () => {
    expect(next(2, 0)).toEqual([101, 102]);
    expect(next(3, 1, [103])).toEqual([102, 104, 105]);
  });

  test("go on at the first place behind the last", () => {
    expect(next(3, 4)).toEqual([105, 106, 101]);
    expect(next(1, 6)).toEqual([101]);
    expect(next(1, 602)).toEqual([103]);
  });

  test("are all there are when as many are asked for, and each only once", () => {
    expect(next(6, 3)).toEqual([104, 105, 106, 101, 102, 103]);
    expect(next(7, 3)).toBeUndefined();
  });

  test("are none rather than too few", () => {
    expect(next(2, 0, [101, 102, 103, 104, 105])).toBeUndefined();
    expect(next(1, 0, [101, 102, 103, 104, 105])).toEqual([106]);
    expect(nextFree({ firstSeatId: 1, seatCount: 0 }, 1, 3, () => true)).toBeUndefined();
  });
});
