import { openSeatsDatabase } from "../seats-database.ts";
import { openEngine } from "../servers.ts";
import { FIRST_FREE_SEAT_ID, warmUp } from "../warm-up.ts";
import { sell } from "./accepted.ts";
import { refuse } from "./refused.ts";
import type { Cell, Scenario } from "./scenario.ts";

const PROCESSES = [1, 2];
const CONNECTIONS = [256, 1024];
const SEATS_A_SECOND = 40_000;
const WARM_UP_SECONDS = 5;

/** One engine process beside two that share a port. */
export const processes: Scenario = {
  name: "processes",
  title: "One process and two",
  unit: "a second",
  async open(stage) {
    const { closes, parts, options } = stage;
    const loadSeconds = options.rounds * options.seconds * CONNECTIONS.length + WARM_UP_SECONDS;
    const cells: Cell[] = [];
    for (const count of PROCESSES) {
      const name = `${count} ${count === 1 ? "process" : "processes"}`;
      const seatCount = FIRST_FREE_SEAT_ID + SEATS_A_SECOND * loadSeconds;
      const database = await openSeatsDatabase(closes, parts.postgres.url, `processes-${count}`, seatCount);
      const env = { WEB_CONCURRENCY: String(count) };
      const engine = await openEngine(closes, parts, {
        database,
        firstFreeSeatId: FIRST_FREE_SEAT_ID,
        env,
      });
      await warmUp(engine);
      for (const connections of CONNECTIONS) {
        const compared = (what: string) => {
          const yardstick = `1 process, ${what} at ${connections}`;
          const variant = `${name}, ${what}`;
          const which = count === PROCESSES[0] ? { yardstick } : { comparedWith: yardstick };
          return { scenario: "processes", variant, ...which } as const;
        };
        cells.push(
          {
            connections,
            measure: (round) => sell(stage, engine, connections, round, { subject: compared("accepted") }),
          },
          {
            connections,
            measure: (round) => refuse(stage, engine, connections, round, compared("refused")),
          },
        );
      }
    }
    return cells;
  },
};
