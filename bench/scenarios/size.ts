import { type Measurement, measure, type Subject } from "../measure.ts";
import type { SeatsDatabase } from "../seats-database.ts";
import { openEngine } from "../servers.ts";
import type { Stage } from "../stage.ts";
import type { Cell, Scenario } from "./scenario.ts";
import { PEAK_CONNECTIONS } from "./yardsticks.ts";

/** Not measured, so that a process that has just started is warm. */
const WARM_UP_SECONDS = 1;

/** Whether a stadium and a whole year's programme sell at the same rate, and what a seat costs in memory. */
export const size: Scenario = {
  name: "size",
  title: "Size: seats held and given back, one after the other",
  unit: "changes/s",
  async open(stage) {
    const cells: Cell[] = [];
    const [smallest = 0] = stage.options.sizes;
    for (const seatCount of stage.options.sizes) {
      const database = await stage.sizedDatabase(seatCount);
      const measureIt = (round: number) => cycle(stage, database, smallest, round);
      cells.push({ connections: PEAK_CONNECTIONS, measure: measureIt });
    }
    return cells;
  },
};

async function cycle(
  stage: Stage,
  database: SeatsDatabase,
  smallest: number,
  round: number,
): Promise<Measurement> {
  await using closes = new AsyncDisposableStack();
  const { seatCount } = database;
  const engine = await openEngine(closes, stage.parts, { database });
  const yardstick = `${smallest.toLocaleString("en-US")} seats`;
  const subject: Subject = {
    ...{ scenario: "size", server: "engine", round, variant: `${seatCount.toLocaleString("en-US")} seats` },
    ...(seatCount === smallest ? { yardstick } : { comparedWith: yardstick }),
  };
  // The last seats are those that `start` has sold.
  const seats = { firstSeatId: 1, lastSeatId: Math.floor(seatCount * 0.9) };
  const load = { connections: PEAK_CONNECTIONS, plan: { kind: "cycle", ...seats } } as const;
  const counting = {
    counts: "accepted",
    ledgerRows: ({ accepted }: { accepted: number }) => accepted,
  } as const;
  await measure(stage.parts, engine, subject, { ...load, seconds: WARM_UP_SECONDS }, counting);
  const { measurement } = await measure(
    stage.parts,
    engine,
    subject,
    { ...load, seconds: stage.options.seconds },
    counting,
  );
  return { ...measurement, figures: bytesPerSeat(stage, measurement, seatCount, smallest) };
}

/** By the difference in memory to the engine of the smallest database in the same round. */
function bytesPerSeat(
  stage: Stage,
  { round, residentBytes }: Measurement,
  seatCount: number,
  smallest: number,
): Record<string, number> {
  const base = stage.measurements.find(
    (each) => each.scenario === "size" && each.round === round && each.yardstick !== undefined,
  );
  if (!base) return {};
  return { "bytes a seat": (residentBytes - base.residentBytes) / (seatCount - smallest) };
}
