import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseSeatId } from "../../src/venue/seat-id.ts";

const HIGHEST = 2n ** 53n - 1n;

/** The rule in its plainest words, slow and safe beyond 2^53. */
function model(text: string): number | undefined {
  if (!/^[1-9][0-9]*$/.test(text)) return undefined;
  const value = BigInt(text);
  return value <= HIGHEST ? Number(value) : undefined;
}

/** Numbers around every power of ten and of two, their near misses, and anything at all. */
const idText = fc.oneof(
  fc.bigInt({ min: 0n, max: 10n ** 18n }).map(String),
  fc.tuple(fc.integer({ min: 1, max: 64 }), fc.integer({ min: -2, max: 2 })).map(([bits, near]) => {
    return String(2n ** BigInt(bits) + BigInt(near));
  }),
  fc.string({ unit: fc.constantFrom(..."0123456789"), maxLength: 20 }),
  fc.string({ unit: fc.constantFrom(..."0123456789+-eExX. _,n\n\t/:９٣"), maxLength: 20 }),
  fc.string({ unit: "binary", maxLength: 20 }),
);

describe("a seat id in a request", () => {
  test("is read as the plain rule reads it, whatever the text", () => {
    fc.assert(
      fc.property(idText, (text) => {
        expect<number | undefined>(parseSeatId(text)).toBe(model(text));
      }),
      { numRuns: 5000 },
    );
  });

  test.each([
    ["1", 1],
    ["1000", 1000],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
  ])("%p is a seat", (text, value) => {
    expect<number | undefined>(parseSeatId(text)).toBe(value);
  });

  test.each([
    ["", "empty"],
    ["0", "zero"],
    ["01", "a leading zero"],
    ["-1", "a sign"],
    ["+1", "a sign"],
    ["1.0", "a point"],
    ["1e3", "an exponent"],
    ["0x10", "another base"],
    ["1n", "a suffix"],
    [" 1", "a space before"],
    ["1 ", "a space after"],
    ["1\n", "a line end"],
    ["1_000", "a separator"],
    ["９", "a digit of another script"],
    ["NaN", "no number"],
    ["Infinity", "no number"],
    ["9007199254740992", "2^53, which a number cannot tell from its neighbour"],
    ["9999999999999999", "16 digits, above 2^53 - 1"],
    ["10000000000000000", "17 digits"],
  ])("%p is none: %s", (text) => {
    expect(parseSeatId(text)).toBeUndefined();
  });
});
