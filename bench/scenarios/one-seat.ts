import { type Measurement, measure } from "../measure.ts";
import { needDescriptors } from "../open-files.ts";
import type { Stage } from "../stage.ts";
import type { Scenario } from "./scenario.ts";

/** Limits only the wait for responses: no request starts after a burst's first moment. */
const BURST_SECONDS = 10;

/** Everybody wants the same seat at the same moment: one gets it, and all others are told so. */
export const oneSeat: Scenario = {
  name: "one-seat",
  title: "One seat: everybody at once",
  unit: "answers/s",
  async open(stage) {
    const { crowd } = stage.options;
    needDescriptors(crowd);
    await stage.engine();
    return [{ connections: crowd, measure: (round) => burst(stage, round) }];
  },
};

async function burst(stage: Stage, round: number): Promise<Measurement> {
  const engine = await stage.engine();
  const seatId = stage.takeSeats(engine, 1);
  const { measurement, result } = await measure(
    stage.parts,
    engine,
    { scenario: "one-seat", server: "engine", variant: "", round },
    {
      ...{ connections: stage.options.crowd, seconds: BURST_SECONDS, pace: { kind: "burst" } },
      plan: { kind: "reserve", firstSeatId: seatId, lastSeatId: seatId },
    },
    { counts: "refused", ledgerRows: ({ accepted }) => accepted },
  );
  const { "201": won = 0, "409": taken = 0, ...others } = result.statuses ?? {};
  const isExact = won === 1 && taken === stage.options.crowd - 1;
  const fault = `of ${stage.options.crowd} requests ${won} won, ${taken} were taken, others ${JSON.stringify(others)}, ${result.lost} lost`;
  return {
    ...measurement,
    others: result.answers - won - taken,
    figures: { "last answer s": result.durationMs / 1000, won, taken },
    check: measurement.check && { ...measurement.check, faults: isExact ? [] : [fault] },
  };
}
