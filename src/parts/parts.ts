import { join } from "node:path";
import { type Config, ConfigError } from "../config/config.ts";
import { codeOf, SQLSTATE } from "../postgres/faults.ts";
import { type DatabaseFacts, ensureDatabase, prepareDatabase } from "../postgres/migrate.ts";
import { UnusableDatabase } from "../postgres/unusable-database.ts";
import type { Lifecycle } from "../runtime/lifecycle.ts";
import { messageOf, originOf } from "../telemetry/log.ts";
import { findFormerCluster } from "./home.ts";
import { EMBEDDED_DATABASE, startEmbeddedPostgres, urlOfRunningPostgres } from "./postgres.ts";
import { startEmbeddedRedis } from "./redis.ts";

/** The outside services: those of the environment, and embedded ones for the rest. */
export interface Parts {
  databaseUrl: string;
  database: DatabaseFacts;
  redisUrls: string[];
  kafkaBrokers: string[] | undefined;
  /** The file that receives the events if there is no Kafka. */
  eventsFile: string;
  /** Describes each service for people: real or embedded, and where. */
  description: { postgres: string; redis: string; kafka: string };
}

/**
 * Opens the services that the environment does not provide, and prepares the database. Redis and Kafka may be
 * unavailable now and come later; the database must be available.
 * @throws {ConfigError} naming the variable to correct
 */
export async function openParts(config: Config, lifecycle: Lifecycle): Promise<Parts> {
  const [postgres, redis] = await Promise.all([
    openPostgres(config, lifecycle),
    openRedis(config, lifecycle),
  ]);
  const eventsFile = join(config.dataDir, "booking-events.jsonl");
  const kafka = config.kafkaBrokers
    ? `real, ${config.kafkaBrokers.join(", ")} (${config.kafkaSecurityProtocol})`
    : `none: events are appended to ${eventsFile}`;
  return {
    databaseUrl: postgres.url,
    database: postgres.facts,
    redisUrls: redis.urls,
    kafkaBrokers: config.kafkaBrokers,
    eventsFile,
    description: { postgres: postgres.description, redis: redis.description, kafka },
  };
}

/** Returns the database of the engine that is running on DATA_DIR's Postgres, if there is one. */
export async function findRunningPostgres({
  dataDir,
  connectTimeoutMs,
}: Config): Promise<string | undefined> {
  const url = await urlOfRunningPostgres(dataDir);
  if (url === undefined) return undefined;
  return ensureDatabase(url, EMBEDDED_DATABASE, connectTimeoutMs).catch(() => undefined);
}

export async function openPostgres({ databaseUrl, dataDir, connectTimeoutMs }: Config, lifecycle: Lifecycle) {
  if (databaseUrl) {
    const facts = await prepareDatabase(databaseUrl, connectTimeoutMs).catch((error: unknown) => {
      throw new ConfigError(`DATABASE_URL: ${originOf(databaseUrl)} ${reasonOf(error, YOURS)}`);
    });
    return { url: databaseUrl, facts, description: `real, ${facts.version} at ${originOf(databaseUrl)}` };
  }
  const embedded = await startEmbeddedPostgres(dataDir);
  lifecycle.onClose("embedded Postgres", embedded.stop);
  const { url, facts } = await prepareEmbedded(embedded.url, connectTimeoutMs).catch((error: unknown) => {
    throw new ConfigError(`DATA_DIR: the database in ${embedded.folder} ${reasonOf(error, EMBEDDED)}`);
  });
  const former = findFormerCluster(dataDir);
  const unused = former ? `; an older version left an unused database in ${former}` : "";
  return {
    url,
    facts,
    description: `embedded, version ${facts.version}, data in ${embedded.folder}${unused}`,
  };
}

async function prepareEmbedded(clusterUrl: string, connectTimeoutMs: number) {
  const url = await ensureDatabase(clusterUrl, EMBEDDED_DATABASE);
  return { url, facts: await prepareDatabase(url, connectTimeoutMs) };
}

async function openRedis({ redisUrl: redisUrls, webConcurrency }: Config, lifecycle: Lifecycle) {
  if (redisUrls) {
    const masters = redisUrls.map(originOf).join(", ");
    return {
      urls: redisUrls,
      description: redisUrls.length > 1 ? `real, a quorum of ${masters}` : `real, ${masters}`,
    };
  }
  const embedded = await startEmbeddedRedis();
  if (!embedded) {
    return {
      urls: [],
      description:
        webConcurrency > 1
          ? "none: Postgres decides races between the processes and is asked for every refusal; with Redis, memory gives most refusals"
          : "none: not needed while this is the only engine on its database; Postgres decides races with other engines",
    };
  }
  lifecycle.onClose("embedded Redis", embedded.stop);
  return { urls: [embedded.url], description: `embedded, ${embedded.name} at ${originOf(embedded.url)}` };
}

/** Advice for an unusable database: the operator's own, or the one in DATA_DIR. */
const YOURS = "start that Postgres or correct the URL";
const EMBEDDED = "fix that (is the disk full?) or choose another folder";

/** Explains an error. Some refusals have only a code, one for each address tried, and no message. */
function reasonOf(error: unknown, usualAdvice: string): string {
  if (error instanceof UnusableDatabase) return error.message;
  const first = error instanceof AggregateError ? error.errors[0] : error;
  const reason =
    messageOf(first) || (first instanceof Error && "code" in first ? String(first.code) : "no reason given");
  const advice =
    codeOf(first) === SQLSTATE.tooManyConnections
      ? "raise that limit (max_connections, alter role or alter database ... connection limit) or end other connections"
      : usualAdvice;
  return `cannot be used (${reason}): ${advice}`;
}
