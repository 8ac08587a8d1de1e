import { type Measurement, measure, type Subject } from "../measure.ts";
import type { Server } from "../servers.ts";
import type { Stage } from "../stage.ts";
import { SOLD } from "../warm-up.ts";
import type { Scenario } from "./scenario.ts";
import { constantAt } from "./yardsticks.ts";

/** Seats sold long ago: what a crowd that comes too late costs. */
export const refused: Scenario = {
  name: "refused",
  title: "Refused: sold seats",
  unit: "refused/s",
  async open(stage) {
    const sellers = await stage.sellers();
    return stage.options.connections.flatMap((connections) =>
      sellers.map((server) => ({
        connections,
        measure: (round: number) => refuse(stage, server, connections, round),
      })),
    );
  },
};

export async function refuse(
  stage: Stage,
  server: Server,
  connections: number,
  round: number,
  subject: Partial<Subject> = {},
): Promise<Measurement> {
  const { measurement } = await measure(
    stage.parts,
    server,
    {
      ...{ scenario: "refused", server: server.name, variant: "", round },
      ...{ comparedWith: constantAt(connections) },
      ...subject,
    },
    { connections, seconds: stage.options.seconds, plan: { kind: "reserve", ...SOLD } },
    { counts: "refused" },
  );
  return measurement;
}
