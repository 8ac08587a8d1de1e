import { parseArgs } from "node:util";

const SCENARIOS = ["accepted", "rejected"] as const;
export type Scenario = (typeof SCENARIOS)[number];

/** `engine` and `baseline` sell; `elysia` and `bun` answer a constant. */
const SERVERS = ["engine", "baseline", "elysia", "bun"] as const;
export type ServerName = (typeof SERVERS)[number];

export interface BenchOptions {
  seconds: number;
  rounds: number;
  connections: number[];
  scenarios: readonly Scenario[];
  servers: readonly ServerName[];
}

const USAGE = `bun bench/run.ts [--seconds 4] [--rounds 3] [--connections 50,256,1024]
  [--only ${SCENARIOS.join(",")}] [--servers ${SERVERS.join(",")}]`;

/** @throws with the usage when an option is not understood. */
export function readOptions(argv: string[]): BenchOptions {
  try {
    const { values } = parseArgs({
      args: argv,
      options: {
        seconds: { type: "string", default: "4" },
        rounds: { type: "string", default: "3" },
        connections: { type: "string", default: "50,256,1024" },
        only: { type: "string", default: SCENARIOS.join(",") },
        servers: { type: "string", default: SERVERS.join(",") },
      },
    });
    return {
      seconds: wholeNumber(values.seconds),
      rounds: wholeNumber(values.rounds),
      connections: values.connections.split(",").map(wholeNumber),
      scenarios: listOf(SCENARIOS, values.only),
      servers: listOf(SERVERS, values.servers),
    };
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  }
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`"${text}" is no positive whole number`);
  return Number(text);
}

function listOf<T extends string>(allowed: readonly T[], text: string): T[] {
  return text.split(",").map((given) => {
    const found = allowed.find((each) => each === given);
    if (!found) throw new Error(`"${given}" is none of ${allowed.join(", ")}`);
    return found;
  });
}
