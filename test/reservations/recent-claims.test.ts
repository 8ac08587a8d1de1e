import { expect, test } from "bun:test";
import { RecentClaims } from "../../src/reservations/recent-claims.ts";

const LIFETIME_MS = 10_000;
const CLAIM_LIMIT = 10_000;

test("a claim is remembered for ten seconds since it was last added", () => {
  let now = 0;
  const claims = new RecentClaims(() => now);
  claims.add("a");
  now = LIFETIME_MS - 1;
  expect(claims.has("a")).toBe(true);
  claims.add("a");
  now += LIFETIME_MS - 1;
  expect(claims.has("a")).toBe(true);
  now++;
  expect([claims.has("a"), claims.has("b")]).toEqual([false, false]);
});

test("beyond the limit the claim that was added longest ago is forgotten, and no other", () => {
  const claims = new RecentClaims(() => 0);
  for (let index = 0; index < CLAIM_LIMIT; index++) claims.add(`${index}`);
  expect(claims.has("0")).toBe(true);
  claims.add("0");
  claims.add("one more");
  expect(["0", "1", "2", "one more"].map((claim) => claims.has(claim))).toEqual([true, false, true, true]);
});
