import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { createApp } from "./app.ts";
import { catalogueRoutes } from "./catalogue/routes.ts";
import { type Config, ConfigError } from "./config.ts";
import type { PublisherSettings } from "./dispatch/messages.ts";
import { PublisherLoop } from "./dispatch/publisher-loop.ts";
import { ThreadPool } from "./dispatch/thread-pool.ts";
import { openParts, type Parts } from "./embedded/parts.ts";
import { healthRoutes } from "./health/routes.ts";
import { listen } from "./http/listen.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Opening } from "./opening.ts";
import { openPool } from "./postgres/connect.ts";
import { ReservationFigures } from "./reservations/figures.ts";
import { reservationRoutes } from "./reservations/routes.ts";
import { openSale, PROBE_CONNECTIONS } from "./sale.ts";
import { EngineFigures } from "./telemetry/engine-figures.ts";
import type { Logger } from "./telemetry/log.ts";
import { createMetrics } from "./telemetry/metrics.ts";
import { metricsRoutes } from "./telemetry/routes.ts";
import { sampleThread } from "./telemetry/thread-sampler.ts";

/** For the catalogue, and for filling memory. */
const READ_CONNECTIONS = 3;
/** Readers that wait for one of these; more are answered 503. */
const READERS_WAITING_LIMIT = 100;
const PUBLISHER_CONNECTIONS = 1;

/** Longest flush of the ledger while ending; what remains is published by the next start, or by a peer. */
const FLUSH_LIMIT_MS = 4000;

export interface Engine {
  parts: Parts;
  url: string;
  /** Turns readiness off and refuses new work, then resolves when everything accepted is answered. */
  drain(): Promise<void>;
}

/**
 * Opens everything in order and serves.
 * @throws {ConfigError} naming the variable to correct.
 */
export async function openEngine(
  config: Config,
  version: string,
  log: Logger,
  lifecycle: Lifecycle,
): Promise<Engine> {
  const parts = await openParts(config, lifecycle);
  assertConnections(config, parts.database.connectionLimit);
  const metrics = createMetrics();
  metrics.buildInfo.set({ version, bun: Bun.version }, 1);
  const hasRedis = parts.redisUrls.length > 0;
  const figures = new EngineFigures({ metrics, log, hasRedis, hasKafka: parts.kafkaBrokers !== undefined });
  lifecycle.onClose(
    "samples",
    sampleThread((sample) => figures.sampled("main", sample)),
  );
  const opening: Opening = { config, parts, metrics, figures, log, lifecycle };

  const reads = openReads(opening);
  const publisher = openPublisher(opening);
  const reservationFigures = new ReservationFigures(metrics);
  const sale = openSale(opening, { reads, publisher, reservationFigures });

  const components = () => figures.components(sale.databaseUp());
  const refresh = () => {
    figures.refresh({ components: components(), reads, publisher });
    reservationFigures.fold();
    sale.refresh();
  };
  const app = createApp({
    version,
    log,
    metrics,
    controllers: [
      reservationRoutes(sale.batcher, reservationFigures),
      catalogueRoutes({
        database: drizzle(reads),
        isBusy: () => reads.waitingCount >= READERS_WAITING_LIMIT,
        metrics,
        log,
      }),
      healthRoutes({ ready: sale.ready, components }, metrics),
      metricsRoutes(metrics, refresh),
    ],
  });
  const server = listen(app, config);
  lifecycle.onClose("HTTP server", () => server.close());
  return { parts, url: server.url, drain: sale.drain };
}

function openReads({ config, parts, log, lifecycle }: Opening): pg.Pool {
  const reads = openPool(
    {
      databaseUrl: parts.databaseUrl,
      connectTimeoutMs: config.connectTimeoutMs,
      statementTimeoutMs: config.statementTimeoutMs,
      name: "sentinel-reads",
      connectionLimit: READ_CONNECTIONS,
    },
    (error) => log.debug({ error: error.message }, "an idle database connection was lost"),
  );
  lifecycle.onClose("read pool", () => reads.end());
  return reads;
}

function openPublisher({ config, parts, figures, lifecycle }: Opening): PublisherLoop {
  const settings: PublisherSettings = {
    databaseUrl: parts.databaseUrl,
    kafkaBrokers: parts.kafkaBrokers,
    eventsFile: parts.eventsFile,
    batchLimitRows: config.publishBatchLimitRows,
    statementTimeoutMs: config.statementTimeoutMs,
    connectTimeoutMs: config.connectTimeoutMs,
    logLevel: config.logLevel,
  };
  const pool = new ThreadPool({
    name: "publisher",
    threadCount: 1,
    tasksPerThread: 1,
    settings,
    onSample: (thread, sample) => figures.sampled(thread, sample),
    onRestart: () => figures.restarted("publisher"),
  });
  lifecycle.onClose("publisher thread", () => pool.close());
  const publisher = new PublisherLoop({
    pool,
    pollMs: config.publishPollMs,
    onReport: (report) => figures.published(report),
  });
  lifecycle.onClose("publisher", () => publisher.stop(FLUSH_LIMIT_MS));
  return publisher;
}

/** The connections of all threads must fit into what Postgres gives, or the busiest moment fails. */
function assertConnections({ reservationWorkers, batchesPerWorker }: Config, connectionLimit: number): void {
  const needed =
    reservationWorkers * batchesPerWorker + READ_CONNECTIONS + PROBE_CONNECTIONS + PUBLISHER_CONNECTIONS;
  if (needed <= connectionLimit) return;
  throw new ConfigError(
    `RESERVATION_WORKERS: ${reservationWorkers} threads of ${batchesPerWorker} batches need ${needed} connections, Postgres gives ${connectionLimit}: lower it or BATCHES_PER_WORKER, or raise max_connections`,
  );
}
