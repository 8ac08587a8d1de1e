import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { TOPIC } from "../src/config.ts";
import { startChild } from "../test/support/child.ts";
import { startEngine } from "../test/support/engine.ts";
import { freePort } from "../test/support/free-port.ts";
import { topicEnds } from "../test/support/kafka.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import { until } from "../test/support/until.ts";
import type { ServerName } from "./options.ts";
import { openSeatsDatabase, type Parts, type SeatsDatabase } from "./parts.ts";

const BASELINE_TOPIC = "baseline-events";
const START_DEADLINE_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;

/** Those before it are sold at the warm-up and asked for again when rejections are measured. */
const FIRST_FREE_SEAT_ID = 10_000;

/** Far above what the machine can sell in a second, so that no round runs out of free seats. */
const SEATS_A_SECOND = { engine: 40_000, baseline: 5_000 };

export interface Server {
  name: ServerName;
  url: string;
  pid: number;
  /** Only those that sell. */
  sale: Sale | undefined;
}

/** What a selling server has sold, counted outside of it. */
export interface Sale {
  database: SeatsDatabase;
  /** Events in its topic (or file); undefined where it publishes none. */
  published: (() => Promise<number>) | undefined;
  /** From here on every seat is free. */
  nextSeatId: number;
  seatCount: number;
  /** Ledger rows that were there before the first measurement, all published. */
  soldAtWarmUp: number;
}

export async function openServer(
  closes: AsyncDisposableStack,
  name: ServerName,
  parts: Parts,
  loadSeconds: number,
): Promise<Server> {
  switch (name) {
    case "engine":
      return openEngine(closes, parts, loadSeconds);
    case "baseline":
      return openBaseline(closes, parts, loadSeconds);
    case "elysia":
    case "bun":
      return { name, sale: undefined, ...(await openProcess(closes, name, ["bare.ts", name], {})) };
    default:
      return name satisfies never;
  }
}

async function openEngine(closes: AsyncDisposableStack, parts: Parts, loadSeconds: number): Promise<Server> {
  const seatCount = SEATS_A_SECOND.engine * loadSeconds;
  const database = await openSeatsDatabase(closes, parts.postgres.url, "engine", seatCount);
  const dataDir = await tempDir("bench-engine");
  closes.defer(dataDir.remove);
  const engine = await startEngine({
    NODE_ENV: "production",
    DATA_DIR: dataDir.path,
    DATABASE_URL: database.url,
    REDIS_URL: parts.redis.url,
    ...(parts.kafka && { KAFKA_BROKERS: parts.kafka.brokers }),
  });
  closes.defer(async () => void (await engine.stop()));
  const published = parts.kafka
    ? messagesIn(parts.kafka.brokers, TOPIC)
    : () => linesIn(join(dataDir.path, `${TOPIC}.jsonl`));
  return {
    name: "engine",
    ...engine,
    sale: { database, published, nextSeatId: FIRST_FREE_SEAT_ID, seatCount, soldAtWarmUp: 0 },
  };
}

async function openBaseline(
  closes: AsyncDisposableStack,
  parts: Parts,
  loadSeconds: number,
): Promise<Server> {
  const seatCount = SEATS_A_SECOND.baseline * loadSeconds;
  const database = await openSeatsDatabase(closes, parts.postgres.url, "baseline", seatCount);
  const server = await openProcess(closes, "baseline", ["baseline.ts"], {
    DATABASE_URL: database.url,
    REDIS_URL: parts.redis.url,
    ...(parts.kafka && { KAFKA_BROKERS: parts.kafka.brokers, TOPIC: BASELINE_TOPIC }),
  });
  const published = parts.kafka && messagesIn(parts.kafka.brokers, BASELINE_TOPIC);
  return {
    name: "baseline",
    ...server,
    sale: { database, published, nextSeatId: FIRST_FREE_SEAT_ID, seatCount, soldAtWarmUp: 0 },
  };
}

/** A server of this folder, with the same environment as the engine's. */
async function openProcess(
  closes: AsyncDisposableStack,
  name: string,
  [script = "", ...rest]: string[],
  env: Record<string, string>,
): Promise<{ url: string; pid: number }> {
  const port = await freePort();
  const { PATH = "", HOME = "" } = process.env;
  const child = startChild(name, [process.execPath, join(import.meta.dir, script), ...rest], {
    cwd: resolve(import.meta.dir, ".."),
    env: { PATH, HOME, HOST: "127.0.0.1", PORT: String(port), NODE_ENV: "production", ...env },
  });
  closes.defer(async () => void (await child.end("SIGTERM", STOP_TIMEOUT_MS)));
  const url = `http://127.0.0.1:${port}`;
  await until(
    async () => child.exitCode() !== undefined || (await fetch(`${url}/health/ready`)).status === 200,
    { deadlineMs: START_DEADLINE_MS, what: `${name} answers at ${url}` },
  );
  if (child.exitCode() !== undefined) throw new Error(`${name} ended at its start:\n${child.output()}`);
  return { url, pid: child.pid };
}

const messagesIn = (brokers: string, topic: string) => async () =>
  [...(await topicEnds(brokers, topic)).values()].reduce((sum, end) => sum + end, 0);

const linesIn = async (path: string) => (await readFile(path, "utf8").catch(() => "")).split("\n").length - 1;
