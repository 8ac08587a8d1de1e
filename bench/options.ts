import { RUN } from "../src/config/command-line.ts";
import { readOptions as readWords, unknownWord } from "../src/config/command-options.ts";
import { SCENARIO_NAMES, type ScenarioName } from "./scenarios/names.ts";

/** `engine` and `baseline` sell; `elysia` and `bun` answer a constant; `pgbench` runs the statement alone. */
const SERVERS = ["engine", "baseline", "elysia", "bun", "pgbench"] as const;
export type ServerName = (typeof SERVERS)[number];

export interface BenchOptions {
  seconds: number;
  rounds: number;
  /** For the closed loops on distinct and on sold seats. */
  connections: number[];
  scenarios: readonly ScenarioName[];
  servers: readonly ServerName[];
  /** Connections of the scenarios `one-seat` and `idle`. */
  crowd: number;
  /** For the scenario `sale`, which sends ten times as many requests. */
  saleSeats: number;
  /** Seats of the databases of the scenario `size`; the last is also that of `start`. */
  sizes: number[];
}

const DEFAULTS = {
  seconds: "3",
  rounds: "3",
  connections: "1,50,256,1024",
  // A soak is only meaningful over several minutes.
  only: SCENARIO_NAMES.filter((name) => name !== "soak").join(),
  servers: SERVERS.join(),
  crowd: "10000",
  "sale-seats": "100000",
  sizes: "1000,1000000,10000000",
};

const USAGE = `Usage: ${RUN} run bench ${Object.entries(DEFAULTS)
  .map(([name, value]) => `[--${name} ${value}]`)
  .join(" ")}`;

/** The size of the demo event that every database starts with. */
const SMALLEST_SIZE = 1000;

/** A message about wrong options, with the usage; or the usage alone, if it was requested. */
export class UsageError extends Error {
  constructor(
    message: string,
    readonly wasAskedFor = false,
  ) {
    super(message);
  }
}

/** @throws {UsageError} if an option is wrong, or is `--help` */
export function readOptions(argv: string[]): BenchOptions {
  try {
    const { values, positionals } = readWords(argv, {
      seconds: { type: "string", default: DEFAULTS.seconds },
      rounds: { type: "string", default: DEFAULTS.rounds },
      connections: { type: "string", default: DEFAULTS.connections },
      only: { type: "string", default: DEFAULTS.only },
      servers: { type: "string", default: DEFAULTS.servers },
      crowd: { type: "string", default: DEFAULTS.crowd },
      "sale-seats": { type: "string", default: DEFAULTS["sale-seats"] },
      sizes: { type: "string", default: DEFAULTS.sizes },
    });
    const [word] = positionals;
    if (values.help || word === "help") throw new UsageError(USAGE, true);
    if (word !== undefined) throw new Error(`it takes no ${word}; --only names the scenarios`);
    const sizes = values.sizes.split(",").map(wholeNumber);
    if (sizes.some((size) => size < SMALLEST_SIZE)) {
      throw new Error(`--sizes: the smallest is ${SMALLEST_SIZE}, the seats of the demo event`);
    }
    return {
      seconds: wholeNumber(values.seconds),
      rounds: wholeNumber(values.rounds),
      connections: values.connections.split(",").map(wholeNumber),
      scenarios: listOf("scenario", SCENARIO_NAMES, values.only),
      servers: listOf("server", SERVERS, values.servers),
      crowd: wholeNumber(values.crowd),
      saleSeats: wholeNumber(values["sale-seats"]),
      sizes: sizes.toSorted((a, b) => a - b),
    };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`bench: ${error instanceof Error ? error.message : error}\n\n${USAGE}`);
  }
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`"${text}" is no positive whole number`);
  return Number(text);
}

function listOf<T extends string>(kind: string, allowed: readonly T[], text: string): T[] {
  return text.split(",").map((given) => {
    const found = allowed.find((each) => each === given);
    if (!found) throw new Error(unknownWord(kind, given, allowed));
    return found;
  });
}
