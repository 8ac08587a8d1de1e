import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { TOPIC } from "../src/config/config.ts";
import { type Child, startChild } from "../test/fixtures/child.ts";
import { freePort } from "../test/fixtures/free-port.ts";
import { topicEnds } from "../test/fixtures/kafka.ts";
import { tempDir } from "../test/fixtures/temp-dir.ts";
import { untilWithin } from "../test/fixtures/until.ts";
import type { ServerName } from "./options.ts";
import type { Parts } from "./parts.ts";
import type { SeatsDatabase } from "./seats-database.ts";

const ROOT = resolve(import.meta.dir, "..");
const BASELINE_TOPIC = "baseline-events";
/** With 10,000,000 seats the engine reads for many seconds before it is ready. */
const START_DEADLINE_MS = 120_000;
const STOP_TIMEOUT_MS = 15_000;

export interface Server {
  name: ServerName;
  url: string;
  pid: number;
  /** Only for servers that sell. */
  sale: Sale | undefined;
}

/** A server that sells. */
export type SellingServer = Server & { sale: Sale };

/** A selling server's sales, counted outside of it. */
export interface Sale {
  database: SeatsDatabase;
  /** Events in its topic (or file) so far; undefined if it publishes none. Engines share a topic. */
  published: (() => Promise<number>) | undefined;
  /** Every seat from this one on is free. */
  nextSeatId: number;
}

export interface StartedEngine {
  url: string;
  child: Child;
  published: () => Promise<number>;
}

/**
 * Starts an engine with its default settings, but without the limit of requests an address, and ending without a
 * delay; it is not ready yet.
 */
export async function startEngine(
  closes: AsyncDisposableStack,
  parts: Parts,
  database: SeatsDatabase,
  env: Record<string, string> = {},
): Promise<StartedEngine> {
  const dataDir = await tempDir("bench-engine");
  closes.defer(dataDir.remove);
  const started = await startServer(closes, "engine", ["src/main.ts"], {
    ...{ NODE_NO_WARNINGS: "1", RATE_LIMIT_ADDRESS_REQUESTS: "0", DRAIN_DELAY_MS: "0" },
    ...{ DATA_DIR: dataDir.path, DATABASE_URL: database.url, REDIS_URL: parts.redis.url },
    ...(parts.kafka && { KAFKA_BROKERS: parts.kafka.brokers }),
    ...env,
  });
  const published = parts.kafka
    ? messagesIn(parts.kafka.brokers, TOPIC)
    : () => linesIn(join(dataDir.path, `${TOPIC}.jsonl`));
  return { ...started, published };
}

/**
 * Opens an engine that is ready.
 * @param firstFreeSeatId seats before it are left for refusals
 */
export async function openEngine(
  closes: AsyncDisposableStack,
  parts: Parts,
  { database, firstFreeSeatId = 1, env }: OpenEngine,
): Promise<SellingServer> {
  const { url, child, published } = await startEngine(closes, parts, database, env);
  await toBeReady("engine", url, child);
  const sale = { database, published, nextSeatId: firstFreeSeatId };
  return { name: "engine", url, pid: child.pid, sale };
}

interface OpenEngine {
  database: SeatsDatabase;
  firstFreeSeatId?: number;
  env?: Record<string, string>;
}

export async function openBaseline(
  closes: AsyncDisposableStack,
  parts: Parts,
  database: SeatsDatabase,
  firstFreeSeatId: number,
): Promise<SellingServer> {
  const { url, child } = await startServer(closes, "baseline", ["bench/baseline.ts"], {
    ...{ DATABASE_URL: database.url, REDIS_URL: parts.redis.url },
    ...(parts.kafka && { KAFKA_BROKERS: parts.kafka.brokers, TOPIC: BASELINE_TOPIC }),
  });
  await toBeReady("baseline", url, child);
  const published = parts.kafka && messagesIn(parts.kafka.brokers, BASELINE_TOPIC);
  return {
    ...{ name: "baseline", url, pid: child.pid },
    sale: { database, published, nextSeatId: firstFreeSeatId },
  };
}

/** Opens one of the servers with a constant answer. */
export async function openBare(closes: AsyncDisposableStack, name: "elysia" | "bun"): Promise<Server> {
  const { url, child } = await startServer(closes, name, ["bench/bare.ts", name], {});
  await toBeReady(name, url, child);
  return { name, url, pid: child.pid, sale: undefined };
}

async function startServer(
  closes: AsyncDisposableStack,
  name: string,
  command: string[],
  env: Record<string, string>,
): Promise<{ url: string; child: Child }> {
  const port = await freePort();
  const { PATH = "", HOME = "" } = process.env;
  const child = startChild(name, [process.execPath, ...command], {
    cwd: ROOT,
    env: { PATH, HOME, HOST: "127.0.0.1", PORT: String(port), NODE_ENV: "production", ...env },
  });
  closes.defer(async () => void (await child.end("SIGTERM", STOP_TIMEOUT_MS)));
  return { url: `http://127.0.0.1:${port}`, child };
}

/** @throws with the process's output if it ends or is late */
async function toBeReady(name: string, url: string, child: Child): Promise<void> {
  await untilWithin(
    START_DEADLINE_MS,
    `${name} is ready at ${url}`,
    async () => child.exitCode() !== undefined || (await isReady(url)),
  ).catch((error) => {
    throw new Error(`${name} did not start:\n${child.output()}`, { cause: error });
  });
  if (child.exitCode() !== undefined) throw new Error(`${name} ended at its start:\n${child.output()}`);
}

export async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/health/ready`);
  await answer.body?.cancel();
  return answer.status === 200;
}

const messagesIn = (brokers: string, topic: string) => async () =>
  [...(await topicEnds(brokers, topic)).values()].reduce((sum, end) => sum + end, 0);

const linesIn = async (path: string) => (await readFile(path, "utf8").catch(() => "")).split("\n").length - 1;
