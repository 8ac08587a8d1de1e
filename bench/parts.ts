import { readdirSync, readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { startEmbeddedPostgres } from "../src/parts/postgres.ts";
import { findKafka, startKafka } from "../test/fixtures/kafka.ts";
import { partOrSkip } from "../test/fixtures/parts.ts";
import { findRedis, startRedis } from "../test/fixtures/redis.ts";
import { UsageError } from "./options.ts";

const DATA_ROOT = resolve(import.meta.dir, "../data");

/** The parts that every server of a run shares, each a real process. */
export interface Parts {
  postgres: { url: string; pid: number };
  redis: { url: string; pid: number };
  /** Undefined if no Kafka was found: the engine then publishes to its file, the baseline nothing. */
  kafka: { brokers: string; pid: number } | undefined;
  /** Their descriptions for the report. */
  described: string[];
}

/** Starts the parts. Postgres's data is where the engine's would be, not in a temporary folder that may be memory. */
export async function openParts(closes: AsyncDisposableStack): Promise<Parts> {
  const redisFound = findRedis();
  if (typeof redisFound !== "string")
    throw new UsageError(`bench: ${redisFound.missing}: install one of them`);
  const dataDir = join(DATA_ROOT, `bench-${process.pid}`);
  await mkdir(dataDir, { recursive: true });
  closes.defer(() => rm(dataDir, { recursive: true, force: true }));
  const postgres = await startEmbeddedPostgres(dataDir);
  closes.defer(async () => {
    await postgres.stop();
    await rm(dirname(postgres.folder), { recursive: true, force: true });
  });
  const redis = await startRedis();
  closes.defer(redis.stop);

  const found = await partOrSkip("kafka", findKafka);
  const kafka = found && (await startKafka());
  if (kafka) closes.defer(kafka.stop);
  return {
    postgres: { url: postgres.url, pid: postmasterPid(postgres.folder) },
    redis,
    kafka: kafka && { brokers: kafka.brokers, pid: kafka.pid() },
    described: [
      `Postgres ${postgres.version}`,
      "Redis",
      found
        ? `Kafka ${kafkaVersion(found.libsDir)}`
        : "no Kafka found: the engine writes its file sink, the baseline sends nothing",
    ],
  };
}

const postmasterPid = (folder: string) =>
  Number.parseInt(readFileSync(join(folder, "postmaster.pid"), "utf8"), 10);

const kafkaVersion = (libsDir: string) =>
  readdirSync(libsDir)
    .map((name) => /^kafka_[\d.]+-([\d.]+)\.jar$/.exec(name)?.[1])
    .find((version) => version !== undefined);
