import { describe, expect, test } from "bun:test";
import type { Check, Measurement } from "../../bench/measure.ts";
import { agrees, checksOf } from "../../bench/report/checks.ts";

const check = (more: Partial<Check>): Check => ({
  ...{ accepted: 10, uncountedLimit: 0, ledgerRows: 10, published: 10, faults: [] },
  ...more,
});
const measured = (round: number, more: Partial<Check>) =>
  ({
    scenario: "accepted",
    server: "engine",
    variant: "",
    connections: 50,
    round,
    check: check(more),
  }) as Measurement;

describe("counts agree", () => {
  test("when answers, ledger and topic say the same", () => {
    expect(agrees(check({}))).toBe(true);
    expect(agrees(check({ published: undefined }))).toBe(true);
  });

  test("when the ledger has what was under way at the end, and no more", () => {
    expect(agrees(check({ uncountedLimit: 5, ledgerRows: 15, published: 15 }))).toBe(true);
    expect(agrees(check({ uncountedLimit: 5, ledgerRows: 16, published: 16 }))).toBe(false);
  });

  test("not when something accepted is not in the ledger, or a row not in the topic, or one twice", () => {
    expect(agrees(check({ ledgerRows: 9, published: 9 }))).toBe(false);
    expect(agrees(check({ published: 9 }))).toBe(false);
    expect(agrees(check({ published: 11 }))).toBe(false);
  });

  test("of a server that publishes nothing without a count of events", () => {
    const [tally] = checksOf([measured(1, { published: undefined }), measured(2, { published: undefined })]);
    expect(tally?.published).toBeUndefined();
    expect(tally && agrees(tally)).toBe(true);
  });

  test("not when the scenario itself found a fault", () => {
    expect(agrees(check({ faults: ["a seat was won twice"] }))).toBe(false);
  });

  test("not when what one round lacks another has too much", () => {
    const [tally] = checksOf([
      measured(1, { ledgerRows: 9, published: 9 }),
      measured(2, { ledgerRows: 11, published: 11 }),
    ]);
    expect(tally?.ledgerRows).toBe(20);
    expect(tally && agrees(tally)).toBe(false);
    expect(tally?.faults).toHaveLength(2);
  });
});
