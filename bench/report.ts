import { cpus, release, totalmem, type } from "node:os";
import { loadGenerator } from "./load.ts";
import { type CpuByPart, type Measurement, mapParts } from "./measure.ts";
import type { BenchOptions, ServerName } from "./options.ts";
import type { Parts } from "./parts.ts";

const NAMES: Record<ServerName, string> = {
  engine: "**Sentinel**",
  baseline: "baseline",
  elysia: "bare Elysia",
  bun: "bare Bun.serve",
};

/** What a selling server sold in the whole run, seen from three sides. */
export interface Counts {
  server: ServerName;
  /** 201s counted by the load generator. */
  accepted: number;
  /** Most that may have been decided after a load had ended, their answers counted by nobody. */
  uncountedLimit: number;
  ledgerRows: number;
  published: number | undefined;
}

/** Whether nothing was lost and nothing was invented. */
export const countsAgree = ({ accepted, uncountedLimit, ledgerRows, published }: Counts) =>
  ledgerRows >= accepted &&
  ledgerRows <= accepted + uncountedLimit &&
  (published === undefined || published === ledgerRows);

export function describeMachine(parts: Parts, options: BenchOptions, date: Date): string[] {
  const memoryGib = Math.round(totalmem() / 2 ** 30);
  return [
    `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`,
    `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${memoryGib} GiB, ${type()} ${release()}, shared by everything below`,
    `Bun ${Bun.version}; ${parts.described.join("; ")}`,
    `${loadGenerator}; ${options.rounds} interleaved rounds of ${options.seconds} s, medians (lowest to highest)`,
  ];
}

export function printReport(machine: string[], measurements: Measurement[], counts: Counts[]): string {
  const accepted = medians(measurements, ["accepted"]);
  const refused = medians(measurements, ["rejected", "constant"]);
  const sections = [machine.map((line) => `- ${line}`).join("\n")];
  if (accepted.length > 0) {
    sections.push("### Accepted: one free seat after the other", table(ACCEPTED_COLUMNS, accepted));
  }
  if (refused.length > 0) {
    sections.push("### Rejected: sold seats, and the bare route", table(REFUSED_COLUMNS, refused));
  }
  if (counts.length > 0) sections.push("### Counted afterwards", table(COUNT_COLUMNS, counts));
  return sections.join("\n\n");
}

/** The rounds of one server under one load, put together. */
interface Row extends Omit<Measurement, "round"> {
  lowestPerSecond: number;
  highestPerSecond: number;
  /** Rate by that of the bare Elysia route in the same round, at as many connections. */
  toElysia: number;
}

type Column<T> = [heading: string, cell: (row: T) => string];

const CPU_COLUMNS: Column<Row>[] = (
  [
    ["server", "server"],
    ["Postgres", "postgres"],
    ["Redis", "redis"],
    ["Kafka", "kafka"],
    ["load", "load"],
  ] satisfies [string, keyof CpuByPart][]
).map(([heading, part]) => [`CPU µs ${heading}`, (row) => decimal(row.cpuMicroseconds[part])]);

const RATE_COLUMNS = (heading: string): Column<Row>[] => [
  ["server", ({ server }) => NAMES[server]],
  ["connections", ({ connections }) => whole(connections)],
  [
    heading,
    (row) => `${whole(row.perSecond)} (${whole(row.lowestPerSecond)} to ${whole(row.highestPerSecond)})`,
  ],
  ["of bare Elysia", ({ toElysia }) => (Number.isNaN(toElysia) ? "-" : `${(toElysia * 100).toFixed(1)} %`)],
  ["p50 ms", ({ p50Ms }) => decimal(p50Ms)],
  ["p99 ms", ({ p99Ms }) => decimal(p99Ms)],
];

const ACCEPTED_COLUMNS: Column<Row>[] = [
  ...RATE_COLUMNS("accepted/s"),
  ["not 201", ({ others, lost }) => whole(others + lost)],
  ["published after s", ({ publishedAfterSeconds }) => decimal(publishedAfterSeconds ?? Number.NaN)],
  ["RSS MB", ({ residentBytes }) => whole(residentBytes / 1e6)],
  ...CPU_COLUMNS,
];

const REFUSED_COLUMNS: Column<Row>[] = [
  ...RATE_COLUMNS("answers/s"),
  ["not 409", ({ others, lost }) => whole(others + lost)],
  ...CPU_COLUMNS,
];

const COUNT_COLUMNS: Column<Counts>[] = [
  ["server", ({ server }) => NAMES[server]],
  ["201s counted by the load generator", ({ accepted }) => whole(accepted)],
  ["rows in the ledger", ({ ledgerRows }) => whole(ledgerRows)],
  ["events published", ({ published }) => whole(published ?? Number.NaN)],
  [
    "agree",
    (row) =>
      countsAgree(row)
        ? `yes (up to ${whole(row.uncountedLimit)} more were under way when a load ended)`
        : "**NO**",
  ],
];

function medians(measurements: Measurement[], scenarios: Measurement["scenario"][]): Row[] {
  const chosen = measurements.filter(({ scenario }) => scenarios.includes(scenario));
  const groups = Map.groupBy(chosen, (each) => `${each.connections} ${each.server} ${each.scenario}`);
  return [...groups.values()].flatMap((rounds) => {
    const [first] = rounds;
    if (!first) return [];
    const middle = (figure: (each: Measurement) => number) => median(rounds.map(figure));
    const rates = rounds.map(({ perSecond }) => perSecond);
    return {
      ...first,
      perSecond: median(rates),
      lowestPerSecond: Math.min(...rates),
      highestPerSecond: Math.max(...rates),
      toElysia: middle((each) => each.perSecond / elysiaRate(measurements, each)),
      others: rounds.reduce((sum, { others }) => sum + others, 0),
      lost: rounds.reduce((sum, { lost }) => sum + lost, 0),
      p50Ms: middle(({ p50Ms }) => p50Ms),
      p99Ms: middle(({ p99Ms }) => p99Ms),
      residentBytes: Math.max(...rounds.map(({ residentBytes }) => residentBytes)),
      publishedAfterSeconds: middle(({ publishedAfterSeconds }) => publishedAfterSeconds ?? Number.NaN),
      cpuMicroseconds: mapParts((part) => middle(({ cpuMicroseconds }) => cpuMicroseconds[part])),
    };
  });
}

const elysiaRate = (measurements: Measurement[], { round, connections }: Measurement) =>
  measurements.find(
    (each) => each.server === "elysia" && each.round === round && each.connections === connections,
  )?.perSecond ?? Number.NaN;

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

function table<T>(columns: Column<T>[], rows: T[]): string {
  const lines = [
    columns.map(([heading]) => heading),
    columns.map((_, index) => (index === 0 ? "---" : "---:")),
    ...rows.map((row) => columns.map(([, cell]) => cell(row))),
  ];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

const whole = (value: number) => (Number.isNaN(value) ? "-" : Math.round(value).toLocaleString("en-US"));
const decimal = (value: number) =>
  Number.isNaN(value) ? "-" : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
