import { CPU_PARTS, type CpuByPart, type Measurement, mapParts } from "../measure.ts";
import type { ServerName } from "../options.ts";
import { medianOfKnown, ratioInRound } from "../statistics.ts";

export const NAMES: Record<ServerName, string> = {
  engine: "Sentinel",
  baseline: "baseline",
  elysia: "bare Elysia",
  bun: "bare Bun.serve",
  pgbench: "pgbench, the same statement",
};

/** The combined rounds of one subject: medians, unless a name says otherwise. */
export interface Row extends Omit<Measurement, "round" | "check"> {
  lowestPerSecond: number;
  highestPerSecond: number;
  /** Median of the ratios in each round. */
  ratio: number;
  cpuTotal: number;
  rounds: Measurement[];
}

export function rowsOf(all: readonly Measurement[], scenario: Measurement["scenario"]): Row[] {
  const chosen = all.filter((each) => each.scenario === scenario && each.round > 0);
  const groups = Map.groupBy(chosen, (each) => `${each.connections} ${each.server} ${rowVariant(each)}`);
  return [...groups.values()].flatMap((rounds) => {
    const [first] = rounds;
    if (!first) return [];
    const middle = (figure: (each: Measurement) => number) => medianOfKnown(rounds.map(figure));
    const rates = rounds.map(({ perSecond }) => perSecond);
    const cpu: CpuByPart = mapParts((part) => middle((each) => each.cpu[part]));
    const named = (of: (each: Measurement) => Record<string, number>) =>
      Object.fromEntries(
        [...new Set(rounds.flatMap((each) => Object.keys(of(each))))].map((name) => [
          name,
          middle((each) => of(each)[name] ?? Number.NaN),
        ]),
      );
    return {
      ...first,
      ...{ rounds, cpu, variant: rowVariant(first) },
      perSecond: middle(({ perSecond }) => perSecond),
      lowestPerSecond: Math.min(...rates),
      highestPerSecond: Math.max(...rates),
      ratio: medianOfKnown(rounds.map((each) => ratioInRound(each, all))),
      acceptedPerSecond: middle(({ acceptedPerSecond }) => acceptedPerSecond),
      refusedPerSecond: middle(({ refusedPerSecond }) => refusedPerSecond),
      others: rounds.reduce((sum, { others }) => sum + others, 0),
      lost: rounds.reduce((sum, { lost }) => sum + lost, 0),
      late: rounds.reduce((sum, { late }) => sum + late, 0),
      notSent: rounds.reduce((sum, { notSent }) => sum + notSent, 0),
      p50Ms: middle(({ p50Ms }) => p50Ms),
      p99Ms: middle(({ p99Ms }) => p99Ms),
      p999Ms: middle(({ p999Ms }) => p999Ms),
      maxMs: middle(({ maxMs }) => maxMs),
      residentBytes: Math.max(...rounds.map(({ residentBytes }) => residentBytes)),
      cpuByThread: named(({ cpuByThread }) => cpuByThread),
      cpuTotal: CPU_PARTS.reduce((sum, part) => sum + (Number.isNaN(cpu[part]) ? 0 : cpu[part]), 0),
      commitsPerAccepted: middle(({ commitsPerAccepted }) => commitsPerAccepted),
      batchSeats: middle(({ batchSeats }) => batchSeats),
      ledgerLagSeconds: middle(({ ledgerLagSeconds }) => ledgerLagSeconds),
      figures: named(({ figures }) => figures),
    };
  });
}

/** pgbench's batch differs from round to round, because the engine's does. */
const rowVariant = ({ server, variant }: Measurement) => (server === "pgbench" ? "" : variant);
