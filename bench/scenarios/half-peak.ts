import { type Measurement, measure } from "../measure.ts";
import type { SellingServer } from "../servers.ts";
import type { Stage } from "../stage.ts";
import { median } from "../statistics.ts";
import { sell } from "./accepted.ts";
import type { Scenario } from "./scenario.ts";
import { PEAK_CONNECTIONS } from "./yardsticks.ts";

const SHARE_OF_PEAK = 0.5;

/** Buyers arrive at half the rate that the engine can sell at, whether or not earlier ones have their responses. */
export const halfPeak: Scenario = {
  name: "half-peak",
  title: "Half of the peak: requests begin at a constant rate",
  unit: "accepted/s",
  async open(stage) {
    const engine = await stage.engine();
    const perSecond = Math.round((await peakOf(stage, engine)) * SHARE_OF_PEAK);
    return [{ connections: PEAK_CONNECTIONS, measure: (round) => atRate(stage, engine, perSecond, round) }];
  },
};

/** Returns the rate of `accepted` in this run or, if it was left out, of one load now. */
async function peakOf(stage: Stage, engine: SellingServer): Promise<number> {
  const rates = stage.measurements
    .filter(({ scenario, server }) => scenario === "accepted" && server === "engine")
    .filter(({ connections }) => connections === PEAK_CONNECTIONS)
    .map(({ perSecond }) => perSecond);
  if (rates.length > 0) return median(rates);
  return (await sell(stage, engine, PEAK_CONNECTIONS, 0)).perSecond;
}

async function atRate(
  stage: Stage,
  engine: SellingServer,
  perSecond: number,
  round: number,
): Promise<Measurement> {
  const { seconds } = stage.options;
  const requests = perSecond * seconds;
  const firstSeatId = stage.takeSeats(engine, requests);
  const { measurement } = await measure(
    stage.parts,
    engine,
    { scenario: "half-peak", server: "engine", variant: "", round },
    {
      ...{ connections: PEAK_CONNECTIONS, seconds, pace: { kind: "open", perSecond } },
      plan: { kind: "reserve", firstSeatId, lastSeatId: firstSeatId + requests - 1 },
    },
    { counts: "accepted", ledgerRows: ({ accepted }) => accepted },
  );
  return { ...measurement, figures: { "asked for a second": perSecond } };
}
