import { refuse } from "./refused.ts";
import type { Scenario } from "./scenario.ts";
import { constantAt } from "./yardsticks.ts";

/** The reserve route with a constant answer and nothing behind it: the yardstick for accepted and refused. */
export const constant: Scenario = {
  name: "constant",
  title: "A constant answer on the same route",
  unit: "answers/s",
  async open(stage) {
    const servers = await stage.constants();
    return stage.options.connections.flatMap((connections) =>
      servers.map((server) => ({
        connections,
        measure: (round: number) =>
          refuse(stage, server, connections, round, {
            scenario: "constant",
            ...(server.name === "elysia" && { yardstick: constantAt(connections) }),
          }),
      })),
    );
  },
};
