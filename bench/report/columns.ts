import { NAMES, type Row } from "./rows.ts";

export interface Column {
  heading: string;
  cell(row: Row): string;
}

/** Stands for a value that could not be measured. */
const NONE = "-";

const column = (heading: string, cell: (row: Row) => string): Column => ({ heading, cell });

/** Returns the columns of a scenario's rows, without those that are empty in every row. */
export function columnsFor(rows: Row[], unit: string): Column[] {
  const figures = [...new Set(rows.flatMap((row) => Object.keys(row.figures)))];
  const threads = [
    ...new Set(rows.flatMap((row) => (row.server === "engine" ? Object.keys(row.cpuByThread) : []))),
  ];
  const all: Column[] = [
    column("who", (row) => [NAMES[row.server], row.variant].filter(Boolean).join(", ")),
    column("connections", ({ connections }) => (connections > 0 ? whole(connections) : NONE)),
    column(unit, (row) =>
      row.lowestPerSecond === row.highestPerSecond
        ? figure(row.perSecond)
        : `${figure(row.perSecond)} (${figure(row.lowestPerSecond)} to ${figure(row.highestPerSecond)})`,
    ),
    column("ratio", ({ ratio }) => (Number.isNaN(ratio) ? NONE : ratio.toFixed(3))),
    column("compared with", ({ comparedWith, yardstick }) =>
      yardstick === undefined ? (comparedWith ?? NONE) : "(1 by itself)",
    ),
    ...figures.map((name) => column(name, (row) => figure(row.figures[name] ?? Number.NaN))),
    column("refused/s", ({ refusedPerSecond, scenario }) =>
      scenario === "refused" || refusedPerSecond === 0 ? NONE : figure(refusedPerSecond),
    ),
    column("p50 ms", ({ p50Ms }) => figure(p50Ms)),
    column("p99 ms", ({ p99Ms }) => figure(p99Ms)),
    column("p99.9 ms", ({ p999Ms }) => figure(p999Ms)),
    column("max ms", ({ maxMs }) => figure(maxMs)),
    column("other or lost", ({ others, lost, p50Ms }) => (Number.isNaN(p50Ms) ? NONE : whole(others + lost))),
    column("late", ({ late }) => whole(late)),
    column("not sent", ({ notSent }) => whole(notSent)),
    column("RSS MB", ({ residentBytes }) => whole(residentBytes / 1e6)),
    column("batch", ({ batchSeats }) => figure(batchSeats)),
    column("commits each", ({ commitsPerAccepted }) => figure(commitsPerAccepted)),
    column("ledger lag s", ({ ledgerLagSeconds }) => figure(ledgerLagSeconds)),
    column("CPU µs all", ({ cpuTotal }) => figure(cpuTotal || Number.NaN)),
    column("server", ({ cpu }) => figure(cpu.server)),
    ...threads.map((name) =>
      column(`(${name})`, ({ cpuByThread }) => figure(cpuByThread[name] ?? Number.NaN)),
    ),
    column("Postgres", ({ cpu }) => figure(cpu.postgres)),
    column("Redis", ({ cpu }) => figure(cpu.redis)),
    column("Kafka", ({ cpu }) => figure(cpu.kafka)),
    column("load", ({ cpu }) => figure(cpu.load)),
  ];
  return all.filter(({ cell }) => rows.some((row) => cell(row) !== NONE));
}

export const whole = (value: number) =>
  Number.isFinite(value) ? Math.round(value).toLocaleString("en-US") : NONE;

/** Formats a value with three significant digits. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 100) return whole(value);
  if (size === 0) return "0";
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3);
}
