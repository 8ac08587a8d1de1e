import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import fc from "fast-check";
import { ConfigError, describeConfig, readConfig, workersOfEach } from "../../src/config/config.ts";
import { openEngine } from "../../src/engine/compose.ts";
import { openParts } from "../../src/parts/parts.ts";
import { Lifecycle } from "../../src/runtime/lifecycle.ts";
import { createLog } from "../../src/telemetry/log.ts";
import { freePort } from "../fixtures/free-port.ts";
import { createDatabase, type Database } from "../fixtures/postgres.ts";

const log = createLog("silent", "test");

/** What reading this environment is refused with. */
function refusal(environment: Record<string, string>): string {
  try {
    readConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error(`${JSON.stringify(environment)} was accepted`);
}

async function rejection(promise: Promise<unknown>): Promise<ConfigError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ConfigError) return error;
  throw new Error("no ConfigError came", { cause: error });
}

/** Integers by their bounds, as the README tells them. */
const BOUNDS: Record<string, [low: number, high: number]> = {
  PORT: [0, 65_535],
  WEB_CONCURRENCY: [1, 64],
  RESERVATION_WORKERS: [1, 64],
  BATCHES_PER_WORKER: [1, 16],
  BATCH_LIMIT_SEATS: [1, 256],
  QUEUE_LIMIT_SEATS: [1, 1_000_000],
  STATEMENT_TIMEOUT_MS: [50, 1500],
  CONNECT_TIMEOUT_MS: [50, 8000],
  REDIS_TIMEOUT_MS: [5, 1000],
  PUBLISH_BATCH_LIMIT_ROWS: [1, 10_000],
  PUBLISH_POLL_MS: [10, 5000],
  RATE_LIMIT_WINDOW_SECONDS: [1, 3600],
  RATE_LIMIT_ADDRESS_REQUESTS: [0, 10_000_000],
  RATE_LIMIT_KEY_REQUESTS: [0, 10_000_000],
  RATE_LIMIT_RESERVE_REQUESTS: [0, 10_000_000],
  TRUSTED_PROXY_COUNT: [0, 10],
  BODY_LIMIT_BYTES: [1024, 1_048_576],
  IDLE_TIMEOUT_SECONDS: [5, 255],
  DRAIN_DELAY_MS: [0, 60_000],
  SHUTDOWN_TIMEOUT_MS: [500, 120_000],
};

describe("the configuration", () => {
  test.each(Object.entries(BOUNDS))("%s takes its bounds and nothing beyond", (variable, [low, high]) => {
    for (const accepted of [low, high]) expect(() => readConfig({ [variable]: `${accepted}` })).not.toThrow();
    for (const refused of [low - 1, high + 1, `${high}0000000000`, "1.5", "1e1", " 8", "0x10", "many"]) {
      const message = refusal({ [variable]: `${refused}` });
      expect(message).toBe(`${variable}: must be a whole number from ${low} to ${high}, not "${refused}"`);
    }
  });

  test.each([
    ["LOG_LEVEL", "loud"],
    ["LOG_LEVEL", "INFO"],
    ["DATABASE_URL", "database"],
    ["DATABASE_URL", "mysql://host/db"],
    ["REDIS_URL", "localhost:6379"],
    ["REDIS_URL", "http://host"],
    ["REDIS_URL", "redis://one,,redis://two"],
    ["REDIS_URL", "redis://one,two"],
    ["REDIS_URL", Array(10).fill("redis://one").join()],
    ["KAFKA_BROKERS", "broker"],
    ["KAFKA_BROKERS", "broker:port"],
    ["KAFKA_BROKERS", "kafka://broker:9092"],
    ["KAFKA_BROKERS", "one:9092,"],
  ])("a bad %s (%s) is refused in one line that begins with the variable", (variable, value) => {
    expect(refusal({ [variable]: value })).toMatch(new RegExp(`^${variable}: [^\\n]+$`));
  });

  test("the refusal stays one line whatever the value holds", () => {
    for (const variable of Object.keys(BOUNDS).concat("LOG_LEVEL", "KAFKA_BROKERS")) {
      expect(refusal({ [variable]: "8080\nand a second line" })).not.toContain("\n");
    }
  });

  test("the refusal stays short however long the value is", () => {
    expect(refusal({ PORT: "8".repeat(100_000) }).length).toBeLessThan(200);
  });

  test.each(["DATABASE_URL", "REDIS_URL"])("a refused %s never shows the password in it", (variable) => {
    const urls = [
      "htp://u:s3cret@host/db",
      "u:s3cret@host/db",
      "//u:s3cret@host",
      "redis://ok,u:s3cret@host",
    ];
    for (const url of urls) expect(refusal({ [variable]: url })).not.toContain("s3cret");
  });

  test("an empty variable counts as not set", () => {
    const empty = Object.fromEntries(describeConfig().map(({ variable }) => [variable, ""]));
    expect(readConfig(empty)).toEqual(readConfig({}));
  });

  test("what is not set has the default of the contract", () => {
    expect(readConfig({})).toMatchObject({
      port: 8080,
      host: expect.stringMatching(/^(::|0\.0\.0\.0)$/),
      databaseUrl: undefined,
      redisUrl: undefined,
      kafkaBrokers: undefined,
      dataDir: resolve("data"),
      logLevel: "info",
    });
  });

  test("every default that the table shows is the one in force", () => {
    const shown = describeConfig().filter(
      ({ fallback }) => /^[\w./]+$/.test(fallback) && fallback !== "embedded",
    );
    const asShown = Object.fromEntries(shown.map(({ variable, fallback }) => [variable, fallback]));
    expect(shown.length).toBeGreaterThan(15);
    expect(readConfig(asShown)).toEqual(readConfig({}));
  });

  test("the two times of an ending fit together: one that is not set follows the other", () => {
    const times = (environment: Record<string, string>) => {
      const { drainDelayMs, shutdownTimeoutMs } = readConfig(environment);
      return [drainDelayMs, shutdownTimeoutMs];
    };
    expect(times({})).toEqual([7000, 20_000]);
    expect(times({ DRAIN_DELAY_MS: "30000" })).toEqual([30_000, 43_000]);
    expect(times({ SHUTDOWN_TIMEOUT_MS: "5000" })).toEqual([2500, 5000]);
    expect(times({ DRAIN_DELAY_MS: "4500", SHUTDOWN_TIMEOUT_MS: "5000" })).toEqual([4500, 5000]);
    expect(refusal({ DRAIN_DELAY_MS: "4501", SHUTDOWN_TIMEOUT_MS: "5000" })).toMatch(
      /^DRAIN_DELAY_MS: 4501 leaves less than 500 ms of SHUTDOWN_TIMEOUT_MS, 5000, .*: lower it or raise/,
    );
  });

  test("the table has a row for every variable, in the order of the schema", () => {
    const variables = describeConfig().map(({ variable }) => variable);
    expect(variables.slice(0, 7)).toEqual([
      ...["PORT", "HOST", "DATABASE_URL", "REDIS_URL", "KAFKA_BROKERS", "DATA_DIR", "LOG_LEVEL"],
    ]);
    const settings = Object.keys(readConfig({})).filter((name) => name !== "lockTtlMs");
    expect(variables.length).toBe(settings.length);
  });

  test("several processes share out the worker threads that one would have, unless told how many each has", () => {
    expect([1, 2, 4, 5, 64].map((cores) => workersOfEach(cores, 1))).toEqual([1, 1, 3, 4, 4]);
    expect([1, 2, 3, 4, 64].map((processes) => workersOfEach(64, processes))).toEqual([4, 2, 2, 1, 1]);
    expect(readConfig({}).webConcurrency).toBe(1);
    const workersOf = (environment: Record<string, string>) => readConfig(environment).reservationWorkers;
    expect(workersOf({ WEB_CONCURRENCY: "2" })).toBe(workersOfEach(availableParallelism(), 2));
    expect(workersOf({ WEB_CONCURRENCY: "64" })).toBe(1);
    expect(workersOf({ WEB_CONCURRENCY: "64", RESERVATION_WORKERS: "3" })).toBe(3);
  });

  test("lists take spaces around their commas", () => {
    const { redisUrl, kafkaBrokers } = readConfig({
      REDIS_URL: "redis://one:1, redis://two:2 ,rediss://three:3",
      KAFKA_BROKERS: " one:9092 , two:9093",
    });
    expect(redisUrl).toEqual(["redis://one:1", "redis://two:2", "rediss://three:3"]);
    expect(kafkaBrokers).toEqual(["one:9092", "two:9093"]);
  });

  test("a seat's lock always outlives the statement it guards, and never by more than 2 s in all", () => {
    fc.assert(
      fc.property(fc.integer({ min: 50, max: 1500 }), (statementTimeoutMs) => {
        const { lockTtlMs } = readConfig({ STATEMENT_TIMEOUT_MS: `${statementTimeoutMs}` });
        expect(lockTtlMs).toBeGreaterThanOrEqual(statementTimeoutMs + 500);
        expect(lockTtlMs).toBeLessThanOrEqual(2000);
      }),
    );
  });
});

describe("the configuration beside a real Postgres", () => {
  let database: Database;
  beforeAll(async () => {
    database = await createDatabase();
  }, 60_000);
  afterAll(() => database.drop());

  test("refuses more threads and batches than Postgres has connections, and says which variable", async () => {
    const config = readConfig({
      DATABASE_URL: database.url,
      REDIS_URL: "redis://127.0.0.1:1",
      RESERVATION_WORKERS: "64",
      BATCHES_PER_WORKER: "16",
    });
    const lifecycle = new Lifecycle();
    const { message } = await rejection(openEngine(config, "0", log, lifecycle)).finally(() =>
      lifecycle.close(log),
    );
    expect(message).toMatch(
      /^RESERVATION_WORKERS: 64 threads of 16 batches need 1165 connections, Postgres gives \d+: /,
    );
  });

  test("names DATABASE_URL, and not its password, when nobody answers there", async () => {
    const config = readConfig({
      DATABASE_URL: `postgres://buyer:s3cret@127.0.0.1:${await freePort()}/sale`,
      REDIS_URL: "redis://127.0.0.1:1",
    });
    const { message } = await rejection(openParts(config, new Lifecycle()));
    expect(message).toMatch(
      /^DATABASE_URL: postgres:\/\/127\.0\.0\.1:\d+\/sale cannot be used \([^\n]*ECONNREFUSED[^\n]*\)/,
    );
    expect(message).not.toContain("s3cret");
  });

  test("never shows the password of a URL whose slashes were forgotten", async () => {
    const read = (): Promise<unknown> =>
      openParts(
        readConfig({
          DATABASE_URL: "postgres:buyer:s3cret@127.0.0.1:1/sale",
          REDIS_URL: "redis://127.0.0.1:1",
        }),
        new Lifecycle(),
      );
    const { message } = await rejection((async () => read())());
    expect(message).toMatch(/^DATABASE_URL: /);
    expect(message).not.toContain("s3cret");
  });
});
