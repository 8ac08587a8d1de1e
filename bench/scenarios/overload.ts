import { cpus } from "node:os";
import { familyPids } from "../cpu.ts";
import { type CpuGroup, openCpuQuotas } from "../cpu-quota.ts";
import { type Measurement, measure } from "../measure.ts";
import { needDescriptors } from "../open-files.ts";
import type { SellingServer } from "../servers.ts";
import type { Stage } from "../stage.ts";
import { sell } from "./accepted.ts";
import type { Cell, Scenario } from "./scenario.ts";
import { PEAK_CONNECTIONS } from "./yardsticks.ts";

const TIMES_OF_PEAK = 2;
/** More than QUEUE_LIMIT_SEATS by default; fewer clients could never fill the queue. */
const CONNECTIONS = 12_500;
/** The share of its peak that it must still sell while it refuses the rest. */
const GOODPUT_SHARE = 0.8;
const YARDSTICK = "what it can sell";
/**
 * The generator's share of the cores in both loads, so that its 12,500 connections take no CPU time from the
 * servers.
 */
const GENERATOR_SHARE = 0.5;

/** Twice as many buyers as it can sell to: it must not sell less because of them. */
export const overload: Scenario = {
  name: "overload",
  title: "Overload: requests begin at twice the rate that can be sold",
  unit: "accepted/s",
  async open(stage) {
    needDescriptors(CONNECTIONS);
    const engine = await stage.engine();
    const cpuGroup = await divideCpu(stage, engine);
    let perSecond = 0;
    const peak: Cell = {
      connections: PEAK_CONNECTIONS,
      measure: async (round) => {
        const measured = await sell(stage, engine, PEAK_CONNECTIONS, round, {
          subject: { scenario: "overload", variant: YARDSTICK, yardstick: YARDSTICK },
          // By the same generator as the other load.
          task: { isOwnGenerator: true, cpuGroup },
        });
        perSecond = measured.perSecond;
        return measured;
      },
    };
    const twice: Cell = {
      connections: CONNECTIONS,
      measure: (round) => atRate(stage, perSecond, round, cpuGroup),
    };
    return [peak, twice];
  },
};

/** @returns the generator's group; undefined if the machine cannot be divided, which the report then says */
async function divideCpu(stage: Stage, engine: SellingServer): Promise<CpuGroup | undefined> {
  const { closes, parts } = stage;
  const quotas = await openCpuQuotas(closes, cpus().length * GENERATOR_SHARE);
  if ("unlimited" in quotas) {
    parts.described.push(`the load generator of "overload" was not limited (${quotas.unlimited})`);
    return undefined;
  }
  const { postgres, redis, kafka } = parts;
  const roots = [engine, postgres, redis, ...(kafka ? [kafka] : [])];
  await quotas.servers.add(roots.flatMap(({ pid }) => familyPids(pid)));
  parts.described.push(`"overload" under ${quotas.described}`);
  return quotas.generator;
}

async function atRate(
  stage: Stage,
  peak: number,
  round: number,
  cpuGroup: CpuGroup | undefined,
): Promise<Measurement> {
  const perSecond = Math.round(peak * TIMES_OF_PEAK);
  const engine = await stage.engine();
  const { seconds } = stage.options;
  const requests = perSecond * seconds;
  const firstSeatId = stage.takeSeats(engine, requests);
  const { measurement, result } = await measure(
    stage.parts,
    engine,
    { scenario: "overload", server: "engine", variant: "twice as much", round, comparedWith: YARDSTICK },
    {
      ...{ connections: CONNECTIONS, seconds, pace: { kind: "open", perSecond }, cpuGroup },
      plan: { kind: "reserve", firstSeatId, lastSeatId: firstSeatId + requests - 1 },
    },
    { counts: "accepted", ledgerRows: ({ accepted }) => accepted },
  );
  const { "201": won = 0, "503": refused = 0, ...others } = result.statuses ?? {};
  const faults: string[] = [];
  if (Object.keys(others).length > 0 || result.lost > 0)
    faults.push(`answers other than 201 and 503: ${JSON.stringify(others)}, ${result.lost} lost`);
  if (result.notSent > 0) faults.push(`${result.notSent} requests could not be sent in time`);
  if (measurement.perSecond < peak * GOODPUT_SHARE)
    faults.push(`${measurement.perSecond}/s sold under overload, ${peak}/s without`);
  return {
    ...measurement,
    figures: { "asked for a second": perSecond, "refused of 100": (100 * refused) / (won + refused) },
    check: measurement.check && { ...measurement.check, faults },
  };
}
