import { expect, test } from "bun:test";
import { type Measurement, mapParts } from "../../bench/measure.ts";
import { readOptions } from "../../bench/options.ts";
import { describeMachine } from "../../bench/report/machine.ts";
import { printReport } from "../../bench/report/markdown.ts";
import { renderPage } from "../../bench/report/page.ts";
import type { Report } from "../../bench/report/report.ts";

const OPTIONS = readOptions([]);
const samples = (acceptedPerSecond: number, refusedPerSecond: number) =>
  [1, 2, 3].map((atSeconds) => ({ atSeconds, acceptedPerSecond, refusedPerSecond }));

const measured = (more: Partial<Measurement>): Measurement => ({
  ...{ scenario: "overload", server: "engine", variant: "", round: 1, connections: 256 },
  ...{ perSecond: 1000, acceptedPerSecond: 1000, refusedPerSecond: 0, others: 0, lost: 0 },
  ...{ late: Number.NaN, notSent: Number.NaN, p50Ms: 1, p99Ms: 2, p999Ms: 3, maxMs: 4 },
  ...{ residentBytes: 1e8, cpuByThread: {}, commitsPerAccepted: 1, batchSeats: 1, ledgerLagSeconds: 0 },
  ...{ cpu: mapParts(() => 1), figures: {}, samples: samples(1000, 0), check: undefined },
  ...more,
});

const report: Report = {
  machine: [],
  scenarios: [
    { name: "constant", title: "Constant", unit: "answers/s" },
    { name: "overload", title: "Overload", unit: "accepted/s" },
  ],
  options: OPTIONS,
  measurements: [
    measured({ scenario: "constant", server: "elysia", samples: samples(0, 9000) }),
    measured({ variant: "closed" }),
    measured({ variant: "open", late: 1234, notSent: 56, samples: samples(700, 300) }),
  ],
  ...{ checks: [], failures: [] },
};

test("the report names the lines of a plot by their kind only where a row has both", async () => {
  const page = await renderPage(report);
  const plots = /id="plots">(.*?)<\/script>/.exec(page)?.[1] ?? "";
  const names = JSON.parse(plots).flatMap(({ series }: { series: { name: string }[] }) =>
    series.map(({ name }) => name),
  );
  expect(names).toEqual([
    "bare Elysia, 256 connections",
    "Sentinel, closed, 256 connections",
    "Sentinel, open, 256 connections",
    "Sentinel, open, 256 connections, refused",
  ]);
});

test("the report tells of an open loop how many requests began late or never, and of no other", async () => {
  const page = await renderPage(report);
  const texts = [...page.matchAll(/<b>([^<]*)<\/b>/g)].map(([, text = ""]) => text);
  expect(texts.filter((text) => text.includes("1,234 late, 56 not sent"))).toHaveLength(2);
  expect(texts.filter((text) => text.includes("late"))).toHaveLength(2);
  const [headings = "", , closed = "", open = ""] =
    printReport(report).split("### Overload\n\n")[1]?.split("\n") ?? [];
  const cell = (row: string, heading: string) =>
    row.split(" | ")[headings.split(" | ").indexOf(heading)] ?? "";
  expect([cell(open, "late"), cell(open, "not sent")]).toEqual(["1,234", "56"]);
  expect([cell(closed, "late"), cell(closed, "not sent")]).toEqual(["-", "-"]);
});

test("the report names the commit that was measured", () => {
  const parts = {
    postgres: { url: "", pid: 0 },
    redis: { url: "", pid: 0 },
    kafka: undefined,
    described: [],
  };
  const [first] = describeMachine(parts, OPTIONS, new Date());
  expect(first).toMatch(/^commit ([0-9a-f]{12}(, with changes that are not committed)?|unknown: .+)$/);
});
