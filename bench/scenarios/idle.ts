import { residentBytes } from "../cpu.ts";
import { type Measurement, measure } from "../measure.ts";
import { needDescriptors } from "../open-files.ts";
import type { Stage } from "../stage.ts";
import type { Scenario } from "./scenario.ts";

/** Few enough to show what the crowd costs and not what selling costs. */
const REQUESTS_PER_SECOND = 100;
const CONNECTIONS = 10;

/** A crowd that is connected and waits: what its connections cost, and a few that send requests meanwhile. */
export const idle: Scenario = {
  name: "idle",
  title: "Idle connections, and a few who ask meanwhile",
  unit: "accepted/s",
  async open(stage) {
    needDescriptors(stage.options.crowd + CONNECTIONS);
    await stage.engine();
    return [{ connections: stage.options.crowd, measure: (round) => wait(stage, round) }];
  },
};

async function wait(stage: Stage, round: number): Promise<Measurement> {
  const engine = await stage.engine();
  const { seconds, crowd } = stage.options;
  const requests = REQUESTS_PER_SECOND * seconds;
  const firstSeatId = stage.takeSeats(engine, requests);
  const before = residentBytes(engine.pid);
  const { measurement } = await measure(
    stage.parts,
    engine,
    { scenario: "idle", server: "engine", variant: "", round },
    {
      ...{ connections: CONNECTIONS, seconds, idleConnections: crowd },
      pace: { kind: "open", perSecond: REQUESTS_PER_SECOND },
      plan: { kind: "reserve", firstSeatId, lastSeatId: firstSeatId + requests - 1 },
    },
    { counts: "accepted", ledgerRows: ({ accepted }) => accepted },
  );
  return {
    ...measurement,
    connections: crowd,
    figures: { "RSS before MB": before / 1e6 },
  };
}
