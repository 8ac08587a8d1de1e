import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { z } from "zod";
import { addressKnobs } from "./address-settings.ts";
import { credentialFault } from "./credential-relations.ts";
import { credentialKnobs } from "./credential-settings.ts";
import { databaseUrlFault, pgSslModeFault, withVerifiedTls } from "./database-url.ts";
import { endingKnobs, fitEndingTimes } from "./ending-settings.ts";
import { holdLimitKnobs } from "./hold-limit-settings.ts";
import { readSecret } from "./secret-files.ts";
import { broker, flag, integer, listOf, origins, urlOf } from "./setting-types.ts";

/** The address of every part that the engine starts. Nothing embedded listens elsewhere. */
export const LOOPBACK = "127.0.0.1";

/** The topic's name is part of the contract; existing consumers use it. */
export const TOPIC = "booking-events";

/** How much longer a lock lives than the statement it guards. Both together take at most 2 s. */
const LOCK_SLACK_MS = 500;
export const LOCK_TTL_LIMIT_MS = 2000;

/** Returns the worker threads per process. Processes share the cores and database connections that one would have. */
export const workersOfEach = (cores: number, processes: number) =>
  Math.ceil(Math.min(4, Math.max(1, cores - 1)) / processes);

/**
 * All settings. A setting's environment variable is its name in capitals (`dataDir` is `DATA_DIR`). The
 * configuration table and `--help` are generated from this object.
 */
const knobs = {
  ...addressKnobs,
  databaseUrl: {
    type: urlOf(["postgres:", "postgresql:"], "postgres://user:password@host:5432/database")
      .superRefine((url, context) => {
        const fault = URL.canParse(url) && databaseUrlFault(url);
        if (fault) context.addIssue({ code: "custom", message: fault });
      })
      .transform(withVerifiedTls)
      .optional(),
    fallback: undefined,
    secret: true,
    meaning: "Postgres 15 or newer; without it a real Postgres from npm runs in DATA_DIR",
  },
  redisUrl: {
    type: listOf(urlOf(["redis:", "rediss:"], "redis://host:6379")).optional(),
    fallback: undefined,
    secret: true,
    meaning:
      "comma-separated independent masters (a Redlock quorum); without it a local redis-server or none",
  },
  kafkaBrokers: {
    type: listOf(broker).optional(),
    fallback: undefined,
    meaning: "comma-separated host:port or [IPv6]:port; without it events go to a file in DATA_DIR",
  },
  dataDir: {
    type: z
      .string()
      .min(1)
      .transform((path) => resolve(path)),
    fallback: "./data",
    meaning: "folder for the data of the embedded parts; kept across restarts",
  },
  logLevel: {
    type: z.enum(
      ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
      "must be one of trace, debug, info, warn, error, fatal, silent",
    ),
    fallback: "info",
    meaning: "lowest level that is logged",
  },
  ...credentialKnobs,
  webConcurrency: {
    type: integer(1, 64),
    fallback: "1",
    meaning: "engine processes that share the port (Linux); counts and limits in memory are per process",
  },
  reservationWorkers: {
    type: integer(1, 64),
    fallback: String(workersOfEach(availableParallelism(), 1)),
    shown: "cores - 1, from 1 to 4, divided among the processes",
    meaning: "worker threads of a process that lock and commit batches",
  },
  batchesPerWorker: {
    type: integer(1, 16),
    fallback: "3",
    meaning: "batches (and database connections) that one worker thread runs at once",
  },
  batchLimitSeats: {
    type: integer(1, 256),
    fallback: "256",
    meaning: "most seats in one lock and one transaction",
  },
  queueLimitSeats: {
    type: integer(1, 1_000_000),
    fallback: "10000",
    meaning: "seats that may wait for a worker; one more gets 503",
  },
  statementTimeoutMs: {
    type: integer(50, LOCK_TTL_LIMIT_MS - LOCK_SLACK_MS),
    fallback: "1500",
    meaning: `longest database statement; a seat's lock lives ${LOCK_SLACK_MS} ms longer`,
  },
  connectTimeoutMs: {
    type: integer(50, 8000),
    fallback: "2000",
    meaning: "longest wait for a database connection",
  },
  redisTimeoutMs: {
    type: integer(5, 1000),
    fallback: "50",
    meaning: "longest Redis command; a slower one counts as an outage, and selling continues without locks",
  },
  publishBatchLimitRows: {
    type: integer(1, 10_000),
    fallback: "1000",
    meaning: "most ledger rows in one send to Kafka",
  },
  publishPollMs: {
    // Well below 10 s, after which Postgres ends the publisher's idle session.
    type: integer(10, 5000),
    fallback: "1000",
    meaning: "how often the ledger is checked if no change was announced",
  },
  requireApiKey: {
    type: flag,
    fallback: "false",
    meaning:
      "true: every route except probes, metrics and docs needs an API key: a reader's for reads, a seller's for taking seats",
  },
  rateLimitWindowSeconds: {
    type: integer(1, 3600),
    fallback: "10",
    meaning: "window of the RATE_LIMIT_..._REQUESTS limits; a request is one unit, a costly one several",
  },
  rateLimitAddressRequests: {
    type: integer(0, 10_000_000),
    fallback: "1000",
    meaning: "units per window of one client address without an API key, except on reserve; 0 means no limit",
  },
  rateLimitKeyRequests: {
    type: integer(0, 10_000_000),
    fallback: "10000",
    meaning: "units per window of one API key, except on reserve; 0 means no limit",
  },
  rateLimitReserveRequests: {
    type: integer(0, 10_000_000),
    fallback: "0",
    meaning:
      "requests per window of one API key or client address to /api/v1/bookings/reserve; 0 means no limit",
  },
  ...holdLimitKnobs,
  trustedProxyCount: {
    type: integer(0, 10),
    fallback: "0",
    meaning: "proxies in front whose X-Forwarded-For is trusted; 0: the connection's address is the client's",
  },
  tokenSecret: {
    type: z
      .string()
      .min(32, "must have at least 32 characters")
      .max(512, "must have at most 512 characters")
      .optional(),
    fallback: undefined,
    secret: true,
    shown: "generated once and stored in the database",
    meaning: "signs reservation tokens; must be the same in all processes",
  },
  managementPort: {
    type: integer(0, 65535).optional(),
    fallback: undefined,
    shown: "none: everything is on PORT",
    meaning:
      "separate HTTP port for metrics, health details and /api/v1/admin, which PORT then does not serve; probes are on both",
  },
  managementHost: {
    type: z.string().min(1).optional(),
    fallback: undefined,
    shown: "same as HOST",
    meaning: "address the management port listens on",
  },
  corsOrigins: {
    type: origins.optional(),
    fallback: undefined,
    shown: "no other origin",
    meaning:
      "comma-separated origins whose pages may read and act like any other client; `*` means every origin",
  },
  bodyLimitBytes: {
    type: integer(1024, 1_048_576),
    fallback: "65536",
    meaning: "largest request body; a larger one gets 413",
  },
  idleTimeoutSeconds: {
    // Bun's clock ticks every 4 s, so one tick may cut off active requests: 60 of those sent in 17 s at 1, none at 5.
    type: integer(5, 255),
    fallback: "30",
    meaning: "a connection that is silent for longer is closed",
  },
  connectionLimit: {
    type: integer(16, 1_000_000).optional(),
    fallback: undefined,
    shown: "three quarters of the process's open-file limit, at most 50000",
    meaning: "connections of a process (Linux); beyond it the ones idle for the longest are closed",
  },
  changeStreamLimit: {
    type: integer(1, 1_000_000),
    fallback: "10000",
    meaning: "clients that may listen to seat changes at once; one more gets 503",
  },
  changeStreamClientPercent: {
    type: integer(1, 100),
    fallback: "10",
    meaning:
      "percent of CHANGE_STREAM_LIMIT for one API key, or one client network without a key (at least two streams); one more gets 429",
  },
  ...endingKnobs,
} as const satisfies Record<
  string,
  { type: z.ZodType; fallback: string | undefined; meaning: string; shown?: string; secret?: true }
>;

type Knob = keyof typeof knobs;

/** The validated settings. `lockTtlMs` is longer than the statement that the lock guards. */
export type Config = { [Name in Knob]: z.output<(typeof knobs)[Name]["type"]> } & { lockTtlMs: number };

/** An invalid setting. Its message is one line that names the variable and says what to do. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/** Returns a setting's variable: `dataDir` is `DATA_DIR`. */
const variableOf = (knob: string) => knob.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

const secrets = Object.entries(knobs).flatMap(([knob, rest]) => ("secret" in rest ? [variableOf(knob)] : []));

/** The names of all settings, of the secret ones, and of other programs' variables that look like settings. */
export const variables = {
  all: [...Object.keys(knobs).map(variableOf), ...secrets.map((name) => `${name}_FILE`)],
  secret: secrets,
  /** Set by shells and desktops. */
  others: ["HOSTS", "HOSTTYPE", "HOSTNAME", "POST"],
};

/**
 * Reads and validates the environment, once, before anything opens. An empty variable counts as unset.
 * @throws {ConfigError} naming the first invalid variable
 */
export function readConfig(environment: Record<string, string | undefined>): Config {
  const settings = Object.fromEntries(
    Object.entries(knobs).map(([knob, { type, fallback, ...rest }]) => {
      const variable = variableOf(knob);
      const isSecret = "secret" in rest;
      const given = (isSecret ? secretOf(variable, environment) : environment[variable]) || fallback;
      const parsed = type.safeParse(given);
      if (parsed.success) return [knob, parsed.data];
      const source = isSecret && environment[`${variable}_FILE`] ? `${variable}_FILE` : variable;
      const shown = isSecret ? "" : `, not ${JSON.stringify(given?.slice(0, 80))}`;
      throw new ConfigError(`${source}: ${parsed.error.issues[0]?.message}${shown}`);
    }),
  ) as Omit<Config, "lockTtlMs">;
  const fault =
    pgSslModeFault(environment["PGSSLMODE"]) ??
    credentialFault(settings) ??
    managementFault(settings) ??
    fitEndingTimes(settings, environment);
  if (fault !== undefined) throw new ConfigError(fault);
  if (!environment["RESERVATION_WORKERS"])
    settings.reservationWorkers = workersOfEach(availableParallelism(), settings.webConcurrency);
  return { ...settings, lockTtlMs: settings.statementTimeoutMs + LOCK_SLACK_MS };
}

function managementFault({ port, managementPort, managementHost }: Omit<Config, "lockTtlMs">) {
  // Processes share their ports, so with equal ports a request could reach either server.
  if (managementPort === undefined && managementHost !== undefined)
    return "MANAGEMENT_HOST: needs MANAGEMENT_PORT too; without it everything is on PORT";
  if (managementPort !== undefined && managementPort === port && port !== 0)
    return `MANAGEMENT_PORT: must differ from PORT, ${port}`;
  return undefined;
}

function secretOf(variable: string, environment: Record<string, string | undefined>): string | undefined {
  const read = readSecret(variable, environment);
  if ("fault" in read) throw new ConfigError(read.fault);
  return read.secret;
}

/** Returns the configuration as rows of (variable, default, meaning), in the order of the schema. */
export function describeConfig(): { variable: string; fallback: string; meaning: string }[] {
  return Object.entries(knobs).map(([knob, { fallback, meaning, ...rest }]) => ({
    variable: variableOf(knob),
    fallback: "shown" in rest ? rest.shown : (fallback ?? "embedded"),
    meaning: "secret" in rest ? `${meaning}; or its file in \`${variableOf(knob)}_FILE\`` : meaning,
  }));
}
