import { describe, expect, test } from "bun:test";
import { formatAmount, isCurrency } from "../../src/venue/money.ts";

describe("an amount", () => {
  test.each([
    [15_000, "EUR", "150.00"],
    [5, "EUR", "0.05"],
    [0, "USD", "0.00"],
    [-150, "EUR", "-1.50"],
    [9000, "JPY", "9000"],
    [9000, "KWD", "9.000"],
    [2 ** 31 - 1, "CHF", "21474836.47"],
  ])("of %d in %s is written %s", (amountMinor, currency, text) => {
    expect(formatAmount(amountMinor, currency)).toBe(text);
  });
});

test("a currency is known by its ISO 4217 code, in capitals", () => {
  expect(["EUR", "JPY", "eur", "EURO", "ZZZ", ""].filter(isCurrency)).toEqual(["EUR", "JPY"]);
});
