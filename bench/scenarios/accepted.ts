import type { LoadTask } from "../load.ts";
import { type Measurement, measure, type Subject } from "../measure.ts";
import { openPgbench } from "../pgbench.ts";
import type { SellingServer } from "../servers.ts";
import type { Stage } from "../stage.ts";
import type { Cell, Scenario } from "./scenario.ts";
import { constantAt, PEAK_CONNECTIONS } from "./yardsticks.ts";

/** One free seat after the other, each requested by one buyer: what the engine can sell. */
export const accepted: Scenario = {
  name: "accepted",
  title: "Accepted: one free seat after the other",
  unit: "accepted/s",
  async open(stage) {
    const sellers = await stage.sellers();
    const cells: Cell[] = [];
    for (const connections of stage.options.connections) {
      for (const server of sellers) {
        cells.push({ connections, measure: (round) => sell(stage, server, connections, round) });
      }
    }
    const isPeakMeasured = stage.options.connections.includes(PEAK_CONNECTIONS);
    const pgbench =
      isPeakMeasured && sellers.some(({ name }) => name === "engine") && (await openPgbench(stage));
    if (pgbench) cells.push({ connections: PEAK_CONNECTIONS, measure: pgbench });
    return cells;
  },
};

/** Puts one load on seats that nobody has requested before. */
export async function sell(
  stage: Stage,
  server: SellingServer,
  connections: number,
  round: number,
  { subject = {}, task = {} }: { subject?: Partial<Subject>; task?: Partial<LoadTask> } = {},
): Promise<Measurement> {
  const { sale, name } = server;
  const { measurement, result } = await measure(
    stage.parts,
    server,
    {
      ...{ scenario: "accepted", server: name, variant: "", round },
      ...{ comparedWith: constantAt(connections) },
      ...subject,
    },
    {
      ...{ connections, seconds: stage.options.seconds },
      plan: { kind: "reserve", firstSeatId: sale.nextSeatId, lastSeatId: sale.database.seatCount },
      ...task,
    },
    { counts: "accepted", ledgerRows: ({ accepted }) => accepted },
  );
  stage.takeSeats(server, result.answers + connections + 1);
  return measurement;
}
