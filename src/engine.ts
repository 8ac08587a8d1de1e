import { hostname } from "node:os";
import { drizzle } from "drizzle-orm/node-postgres";
import { createApp } from "./app.ts";
import { catalogueRoutes } from "./catalogue/routes.ts";
import { type Config, ConfigError } from "./config.ts";
import type { PublisherSettings, ReservationSettings } from "./dispatch/messages.ts";
import { PublisherLoop } from "./dispatch/publisher-loop.ts";
import { ThreadPool } from "./dispatch/thread-pool.ts";
import { openParts, type Parts } from "./embedded/parts.ts";
import { DatabaseGate } from "./health/database-gate.ts";
import { healthRoutes } from "./health/routes.ts";
import { listen } from "./http/listen.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { openPool } from "./postgres/connect.ts";
import { SeatFeed } from "./redis/seat-feed.ts";
import { Batcher } from "./reservations/batcher.ts";
import { MemoryKeeper } from "./reservations/memory-keeper.ts";
import { reservationRoutes } from "./reservations/routes.ts";
import { SeatMemory } from "./seats/seat-memory.ts";
import { EngineFigures } from "./telemetry/engine-figures.ts";
import type { Logger } from "./telemetry/log.ts";
import { createMetrics } from "./telemetry/metrics.ts";
import { ReservationFigures } from "./telemetry/reservation-figures.ts";
import { metricsRoutes } from "./telemetry/routes.ts";
import { sampleThread } from "./telemetry/thread-sampler.ts";

/** Reads of the catalogue and of memory; the gate's probe has a connection of its own, so that they cannot starve it. */
const READ_CONNECTIONS = 3;
const PROBE_CONNECTIONS = 1;
const PUBLISHER_CONNECTIONS = 1;
const PROBE_TIMEOUT_MS = 1000;

/**
 * No batch takes as long, with every time limit inside it spent: lock and look (4 Redis commands), then
 * two rounds of connect and statement. A thread that is silent for longer is stuck.
 */
const BATCH_DEADLINE_MS = 15_000;

/** Longest flush of the ledger while ending; what remains is published by the next start, or by a peer. */
const FLUSH_LIMIT_MS = 5000;

export interface Engine {
  parts: Parts;
  url: string;
  /** Turns readiness off and refuses new work, then resolves when everything accepted is answered. */
  drain(): Promise<void>;
}

/**
 * Opens everything in order, each open with its close in `lifecycle`, and serves.
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
  const hasRedis = parts.redisUrls.length > 0;

  const metrics = createMetrics();
  metrics.buildInfo.set({ version, bun: Bun.version }, 1);
  metrics.queueLimitSeats.set(config.queueLimitSeats);
  const figures = new EngineFigures({ metrics, log, hasRedis, hasKafka: parts.kafkaBrokers !== undefined });
  const reservationFigures = new ReservationFigures(metrics);
  lifecycle.onClose(
    "samples",
    sampleThread((sample) => figures.sampled("main", sample)),
  );

  const connection = { databaseUrl: parts.databaseUrl, connectTimeoutMs: config.connectTimeoutMs };
  const onIdleError = (error: Error) =>
    log.debug({ error: error.message }, "an idle database connection was lost");
  const reads = openPool(
    {
      ...connection,
      name: "sentinel-reads",
      connectionLimit: READ_CONNECTIONS,
      statementTimeoutMs: config.statementTimeoutMs,
    },
    onIdleError,
  );
  lifecycle.onClose("read pool", () => reads.end());
  const probes = openPool(
    {
      ...connection,
      name: "sentinel-probe",
      connectionLimit: PROBE_CONNECTIONS,
      statementTimeoutMs: PROBE_TIMEOUT_MS,
    },
    onIdleError,
  );
  lifecycle.onClose("probe pool", () => probes.end());

  const publisherSettings: PublisherSettings = {
    ...connection,
    kafkaBrokers: parts.kafkaBrokers,
    eventsFile: parts.eventsFile,
    batchLimitRows: config.publishBatchLimitRows,
    statementTimeoutMs: config.statementTimeoutMs,
    logLevel: config.logLevel,
  };
  const publisherPool = new ThreadPool({
    name: "publisher",
    threadCount: 1,
    tasksPerThread: 1,
    settings: publisherSettings,
    onSample: (thread, sample) => figures.sampled(thread, sample),
    onRestart: () => figures.restarted("publisher"),
  });
  lifecycle.onClose("publisher thread", () => publisherPool.close());
  const publisher = new PublisherLoop({
    pool: publisherPool,
    pollMs: config.publishPollMs,
    onReport: (report) => figures.published(report),
  });
  lifecycle.onClose("publisher", () => publisher.stop(FLUSH_LIMIT_MS));

  const keyPrefix = `sentinel:${parts.database.id}`;
  const reservationSettings: ReservationSettings = {
    ...connection,
    redisUrls: parts.redisUrls,
    keyPrefix,
    connectionLimit: config.batchesPerWorker,
    statementTimeoutMs: config.statementTimeoutMs,
    lockTtlMs: config.lockTtlMs,
    redisTimeoutMs: config.redisTimeoutMs,
    logLevel: config.logLevel,
  };
  const reservationPool = new ThreadPool({
    name: "reservation",
    threadCount: config.reservationWorkers,
    tasksPerThread: config.batchesPerWorker,
    settings: reservationSettings,
    onSample: (thread, sample) => figures.sampled(thread, sample),
    onRestart: () => figures.restarted("reservation"),
  });
  lifecycle.onClose("reservation threads", () => reservationPool.close());

  let draining = false;
  const gate = new DatabaseGate(
    () => probes.query("select"),
    (up) => {
      figures.databaseChanged(up);
      if (!draining) batcher.refuse(up ? undefined : "unavailable");
    },
  );
  lifecycle.onClose("database gate", () => gate.close());

  const memory = new SeatMemory();
  const batcher = new Batcher({
    memory,
    run: (task) => reservationPool.run(task, BATCH_DEADLINE_MS),
    slotCount: config.reservationWorkers * config.batchesPerWorker,
    batchLimitSeats: config.batchLimitSeats,
    queueLimitSeats: config.queueLimitSeats,
    observer: {
      decided: (batch) => {
        reservationFigures.decided(batch);
        const changes = batch.outcomes.flatMap((outcome) => (outcome.kind === "won" ? [outcome] : []));
        if (changes.length === 0) return;
        publisher.poke();
        feed?.publish(changes.map(({ seatId, version, final }) => [seatId, version, "reserved", final]));
      },
      trouble: (kind) => {
        if (kind === "doubtful") metrics.doubtfulBatches.inc();
        gate.suspect();
      },
    },
  });

  const keeper = new MemoryKeeper(drizzle(reads), memory, () => feed?.isLive ?? false);
  lifecycle.onClose("memory keeper", () => keeper.close());
  const [feedUrl] = parts.redisUrls;
  const feed = feedUrl
    ? new SeatFeed({
        redisUrl: feedUrl,
        channel: `${keyPrefix}:feed`,
        processId: `${hostname()}-${process.pid}-${crypto.randomUUID().slice(0, 8)}`,
        timeoutMs: config.redisTimeoutMs,
        onChanges: (changes) => {
          for (const change of changes) memory.learn(...change);
          publisher.poke();
        },
        catchUp: async () => {
          await keeper.catchUp();
          metrics.feedCatchUps.inc();
        },
        onLive: (live) => log.debug({ live }, "the change feed between processes changed"),
      })
    : undefined;
  if (feed) lifecycle.onClose("change feed", () => feed.close());
  else
    void keeper.catchUp().catch((error: Error) => log.warn({ error: error.message }, "memory starts cold"));

  const components = () => figures.components(gate.isUp);
  const refresh = () => {
    reservationFigures.fold();
    metrics.queueSeats.set(batcher.queueSeats);
    metrics.seatsRemembered.set(memory.size);
    metrics.feedUp.set(feed?.isLive ? 1 : 0);
    for (const [component, up] of Object.entries(components()))
      metrics.componentUp.set({ component }, up ? 1 : 0);
    metrics.workerThreads.set({ pool: "reservation", state: "running" }, reservationPool.threadCount);
    metrics.workerThreads.set(
      { pool: "reservation", state: "busy" },
      Math.min(batcher.busySlots, reservationPool.threadCount),
    );
    metrics.workerThreads.set({ pool: "publisher", state: "running" }, publisherPool.threadCount);
    metrics.workerThreads.set({ pool: "publisher", state: "busy" }, publisher.isBusy ? 1 : 0);
    for (const [state, count] of [
      ["total", reads.totalCount],
      ["idle", reads.idleCount],
      ["waiting", reads.waitingCount],
    ] as const) {
      metrics.dbPoolConnections.set({ thread: "main", state }, count);
    }
  };

  const app = createApp({
    version,
    log,
    metrics,
    controllers: [
      reservationRoutes(batcher, reservationFigures),
      catalogueRoutes(drizzle(reads), metrics),
      healthRoutes({ ready: () => gate.isUp && !draining, components }, metrics),
      metricsRoutes(metrics, refresh),
    ],
  });
  const server = listen(app, config);
  lifecycle.onClose("HTTP server", () => server.close());

  return {
    parts,
    url: server.url,
    drain: async () => {
      draining = true;
      batcher.refuse("draining");
      await Bun.sleep(config.drainDelayMs);
      await batcher.drained();
    },
  };
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
