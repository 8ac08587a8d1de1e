import { expect, test } from "bun:test";
import { ATTEMPT_LIMIT, GiveBackWaits } from "../../src/postgres/give-back-waits.ts";

// Seats in doubt are given back on a session that other engines have not seen only after many attempts.

test("waits for as many attempts as there may be, each batch for its own", () => {
  const waits = new GiveBackWaits();
  for (let attempt = 1; attempt <= ATTEMPT_LIMIT; attempt++) expect(waits.attempted("a")).toBe(false);
  expect(waits.attempted("b")).toBe(false);
  expect(waits.attempted("a")).toBe(true);
  waits.over("a");
  expect(waits.attempted("a")).toBe(false);
});

test("keeps no more batches than a bound, the newest", () => {
  const waits = new GiveBackWaits();
  for (let attempt = 1; attempt <= ATTEMPT_LIMIT; attempt++) waits.attempted("old");
  for (let batch = 0; batch < 2000; batch++) waits.attempted(`batch ${batch}`);
  expect(waits.attempted("old")).toBe(false);
});
