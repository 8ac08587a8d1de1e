import { expect, test } from "bun:test";
import { Auditor } from "../../src/proof/audit/auditor.ts";
import type { Drift } from "../../src/proof/audit/open-findings.ts";
import type { SeatAudit } from "../../src/proof/audit/seat-audit.ts";
import type { LockAudit } from "../../src/redis/lock-audit.ts";
import type { Logger } from "../../src/telemetry/log.ts";
import { mergedText } from "../../src/telemetry/merged-metrics.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { metricsIn } from "../engine/scraped-metrics.ts";

const NOTHING = { lookedAt: 500, found: [] as Drift[] };

/** An auditor whose looks are the test's, with what it tells. */
function openAuditor() {
  const lines: { level: string; fields: Record<string, unknown>; text: string }[] = [];
  const level = (name: string) => (fields: Record<string, unknown>, text: string) =>
    void lines.push({ level: name, fields, text });
  const log = { info: level("info"), warn: level("warn") } as unknown as Logger;
  const metrics = createMetrics();
  const next = {
    seats: NOTHING,
    memory: NOTHING,
    locks: { lookedAt: 3, stray: [] } as Awaited<ReturnType<LockAudit["look"]>>,
    fault: undefined as Error | undefined,
  };
  const seats = {
    look: async () => {
      if (next.fault) throw next.fault;
      return { seats: next.seats, memory: next.memory };
    },
  } as unknown as SeatAudit;
  const locks = { look: async () => next.locks } as unknown as LockAudit;
  const auditor = new Auditor({ seats, locks, metrics, log });
  const figures = async () => metricsIn(await metrics.registry.metrics());
  const drift = async (part: string) => (await figures()).value("sentinel_audit_drift", { part });
  return { auditor, lines, next, figures, drift };
}

const seatsFound = (...seatIds: number[]) => ({
  lookedAt: 500,
  found: seatIds.map((seatId) => ({ place: String(seatId), seatId, what: `seat ${seatId} is wrong` })),
});

test("has its figures there before its first round, at zero", async () => {
  const { figures } = openAuditor();
  const { value } = await figures();
  for (const part of ["seats", "memory", "locks"]) {
    expect(value("sentinel_audit_drift", { part })).toBe(0);
    expect(value("sentinel_audit_checks_total", { part })).toBe(0);
  }
  expect(value("sentinel_audit_last_round_timestamp_seconds")).toBeCloseTo(Date.now() / 1000, -1);
});

test("counts what it looked at and when", async () => {
  const { auditor, figures } = openAuditor();
  await auditor.round();
  await auditor.round();
  const { value } = await figures();
  expect(["seats", "memory", "locks"].map((part) => value("sentinel_audit_checks_total", { part }))).toEqual([
    ...[1000, 1000, 6],
  ]);
  expect(value("sentinel_audit_round_duration_seconds_count")).toBe(2);
});

test("tells of a finding once, counts it as long as it stands, and tells of the end", async () => {
  const { auditor, lines, next, drift } = openAuditor();
  next.seats = seatsFound(17);
  await auditor.round();
  await auditor.round();
  expect(await drift("seats")).toBe(1);
  expect(await drift("memory")).toBe(0);
  next.seats = seatsFound(17, 18);
  await auditor.round();
  expect(await drift("seats")).toBe(2);
  next.seats = NOTHING;
  await auditor.round();
  expect(await drift("seats")).toBe(0);
  expect(lines).toEqual([
    { level: "warn", fields: { part: "seats", seatId: 17 }, text: "drift: seat 17 is wrong" },
    { level: "warn", fields: { part: "seats", seatId: 18 }, text: "drift: seat 18 is wrong" },
    { level: "info", fields: { part: "seats" }, text: "the drift is gone" },
  ]);
});

test("names the locks that it finds, however long their keys are", async () => {
  const { auditor, lines, next, drift } = openAuditor();
  next.locks = {
    lookedAt: 9,
    stray: [
      { master: 1, key: "sentinel:1:seat:7", ttlMs: undefined },
      { master: 2, key: `sentinel:1:seat:${"9".repeat(9000)}`, ttlMs: 60_000 },
    ],
  };
  await auditor.round();
  expect(await drift("locks")).toBe(2);
  expect(lines.map(({ fields: { place }, text }) => [String(place).slice(0, 30), text])).toEqual([
    ["Redis 1: sentinel:1:seat:7", "drift: a seat's lock never ends"],
    [
      "Redis 2: sentinel:1:seat:99999",
      "drift: a seat's lock ends in 60000 ms, longer than any engine sets one",
    ],
  ]);
  expect(String(lines[1]?.fields["place"]).length).toBeLessThan(250);
});

test("counts up to a hundred and has ten lines for a damage that is everywhere", async () => {
  const { auditor, lines, next, drift } = openAuditor();
  next.memory = seatsFound(...Array.from({ length: 500 }, (_, index) => index + 1));
  await auditor.round();
  expect(await drift("memory")).toBe(100);
  expect(lines).toHaveLength(11);
  expect(lines[10]).toMatchObject({ fields: { part: "memory", count: 490 } });
});

test("goes on when a round fails, keeps what it knows, and has a line only when it goes on failing", async () => {
  const { auditor, lines, next, drift, figures } = openAuditor();
  next.seats = seatsFound(17);
  await auditor.round();
  lines.length = 0;
  next.fault = new Error("the database is unavailable");
  await auditor.round();
  await auditor.round();
  expect(lines).toEqual([]);
  await auditor.round();
  await auditor.round();
  expect(lines).toEqual([
    {
      level: "warn",
      fields: { error: "the database is unavailable" },
      text: "the auditor cannot read the seats; it goes on trying",
    },
  ]);
  expect(await drift("seats")).toBe(1);
  expect((await figures()).value("sentinel_audit_round_duration_seconds_count")).toBe(1);
  next.fault = undefined;
  next.seats = NOTHING;
  await auditor.round();
  expect(await drift("seats")).toBe(0);
});

test("says of several processes what the worst has found, and when the one that is latest had its round", async () => {
  const all = [3, 0].map((drift, index) => {
    const metrics = createMetrics();
    metrics.auditDrift.set({ part: "seats" }, drift);
    metrics.auditChecks.inc({ part: "seats" }, 500);
    metrics.auditLastRound.set(1000 + index);
    return metrics.registry.getMetricsAsJSON();
  });
  const { value } = metricsIn(await mergedText(await Promise.all(all)));
  expect(value("sentinel_audit_drift", { part: "seats" })).toBe(3);
  expect(value("sentinel_audit_checks_total", { part: "seats" })).toBe(1000);
  expect(value("sentinel_audit_last_round_timestamp_seconds")).toBe(1000);
});
