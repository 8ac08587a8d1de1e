import { expect, test } from "bun:test";
import { ReservationTokens } from "../../src/reservations/token.ts";

const RESERVATION = "019a9d0e-8a53-7000-a1b2-c3d4e5f60718";
const ANOTHER = "019a9d0e-8a53-7000-a1b2-c3d4e5f60719";

const tokens = new ReservationTokens("a secret");

test("a reservation's token is the same in every process that has the secret", () => {
  expect(tokens.of(RESERVATION)).toBe(new ReservationTokens("a secret").of(RESERVATION));
  expect(tokens.isOf(RESERVATION, new ReservationTokens("a secret").of(RESERVATION))).toBe(true);
});

test("a token is 256 bits that a header carries as they are", () => {
  expect(tokens.of(RESERVATION)).toMatch(/^[\w-]{43}$/);
});

test("a token is of one reservation under one secret only", () => {
  expect(tokens.isOf(ANOTHER, tokens.of(RESERVATION))).toBe(false);
  expect(tokens.isOf(RESERVATION, new ReservationTokens("another").of(RESERVATION))).toBe(false);
});

test.each([
  ["nothing", ""],
  [
    "one with a character changed",
    tokens.of(RESERVATION).replace(/.$/, (last) => (last === "A" ? "B" : "A")),
  ],
  ["one that is cut", tokens.of(RESERVATION).slice(0, -1)],
  ["one with more behind it", `${tokens.of(RESERVATION)}=`],
  ["one in another case", tokens.of(RESERVATION).toUpperCase()],
  ["as many characters that take more bytes", "é".repeat(43)],
  ["the reservation's id", RESERVATION],
])("no token is %s", (_what, token) => {
  expect(tokens.isOf(RESERVATION, token)).toBe(false);
});
