import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { KEY_CONNECTIONS, openAccess } from "../access/access.ts";
import { accessRoutes } from "../access/routes.ts";
import { CatalogueKeeper } from "../catalogue/keeper.ts";
import { catalogueRoutes } from "../catalogue/routes.ts";
import { type Config, ConfigError } from "../config/config.ts";
import { kafkaSecurityOf } from "../config/credential-relations.ts";
import { routesWith } from "../http/route.ts";
import { LIVE_CONNECTIONS, openLive } from "../live/open.ts";
import type { Opening } from "../parts/context.ts";
import { openParts, type Parts } from "../parts/parts.ts";
import { ADMIN_CONNECTIONS, adminSessions } from "../postgres/admin-session.ts";
import { openPool } from "../postgres/connect.ts";
import type { ServerConnectionLimit } from "../postgres/server-facts.ts";
import { openAudit } from "../proof/audit/open.ts";
import { ReservationFigures } from "../reservations/figures.ts";
import { PROBE_CONNECTIONS } from "../reservations/gate.ts";
import { holdAdminRoutes } from "../reservations/hold-admin-routes.ts";
import { HoldRelease } from "../reservations/hold-release.ts";
import {
  openReservations,
  RESERVATION_READ_CONNECTIONS,
  SEARCH_CONNECTIONS,
} from "../reservations/opening.ts";
import { RESERVE_PATH, reserveRoute, soldAtOnce } from "../reservations/reserve-route.ts";
import type { Lifecycle } from "../runtime/lifecycle.ts";
import type { Logger } from "../telemetry/log.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import type { PartStates } from "../telemetry/part-state.ts";
import { EngineFigures } from "../threads/engine-figures.ts";
import type { PublisherSettings } from "../threads/messages.ts";
import { PublisherLoop } from "../threads/publisher-loop.ts";
import { ThreadPool } from "../threads/thread-pool.ts";
import { sampleThread } from "../threads/thread-sampler.ts";
import { SeatMemory } from "../venue/seat-memory.ts";
import { healthRoute, probeRoutes } from "./health-routes.ts";
import { type FiguresOfAll, metricsRoutes } from "./metrics-routes.ts";
import { CHANGE_BATCHES_PER_WORKER, openSale, type Sale, SWEEPER_CONNECTIONS } from "./sale.ts";
import { keyPrefixOf } from "./sale-memory.ts";
import { createApps, type Serving, serve } from "./serve.ts";

/** For the catalogue, and for filling memory. */
const READ_CONNECTIONS = 3;
/** Readers that wait for one of these; more are answered 503. */
const READERS_WAITING_LIMIT = 100;
const PUBLISHER_CONNECTIONS = 1;

/** Longest flush of the ledger while ending; what remains is published by the next start, or by a peer. */
const FLUSH_LIMIT_MS = 4000;

/** Where this process is one of several on its port, which their primary has opened for all. */
export interface OneOfSeveral {
  parts: Parts;
  figuresOfAll: FiguresOfAll;
}

export interface Engine extends Pick<Serving, "url" | "managementUrl"> {
  parts: Parts;
  /** The states of the parts, as far as they are known; absent for the primary of several processes. */
  components?(): PartStates;
  /**
   * Ends the sale so that no client notices; resolves when everything that was accepted is answered.
   * @param delayMs how long selling goes on while readiness is 503.
   */
  drain(delayMs: number): Promise<void>;
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
  several?: OneOfSeveral,
): Promise<Engine> {
  const parts = several?.parts ?? (await openParts(config, lifecycle));
  assertConnections(config, parts.database.connectionLimit);
  if (parts.database.notice !== undefined && !several) log.warn(parts.database.notice);
  const metrics = createMetrics();
  metrics.buildInfo.set({ version, bun: Bun.version }, 1);
  metrics.processes.set(config.webConcurrency);
  metrics.processesAnswering.set(1);
  const hasRedis = parts.redisUrls.length > 0;
  const figures = new EngineFigures({
    ...{ metrics, log, hasRedis, hasKafka: parts.kafkaBrokers !== undefined },
    reservationThreads: config.reservationWorkers,
  });
  lifecycle.onClose("samples", sampleThread((sample) => figures.sampled("main", sample)).stop);
  const opening: Opening = { config, parts, metrics, figures, log, lifecycle };

  const reads = openReads(opening);
  const publisher = openPublisher(opening);
  const live = openLive(opening);
  const reservationFigures = new ReservationFigures(metrics);
  const memory = new SeatMemory();
  const catalogue = new CatalogueKeeper(drizzle(reads), memory);
  await catalogue.refresh();
  const sale = openSale(opening, {
    memory,
    catalogue,
    reads,
    publisher,
    tail: live.tail,
    reservationFigures,
  });
  openAudit(opening, { reads, memory, keyPrefix: keyPrefixOf(parts), databaseUp: sale.databaseUp });

  const components = () => figures.components(sale.databaseUp());
  const refresh = () => {
    figures.refresh({ components: components(), reads, publisher });
    reservationFigures.fold();
    sale.refresh();
    live.refresh();
  };
  const access = openAccess(opening, {
    databaseAnswers: sale.databaseAnswers,
    connectionOf: (request): string | undefined =>
      (apps.app.server?.requestIP(request) ?? apps.management?.server?.requestIP(request))?.address,
  });
  const { beforeReserving } = access.guard;
  const serveRoute = routesWith({ guard: access.guard, metrics, bodyLimitBytes: config.bodyLimitBytes });
  const runAsAdmin = adminSessions({
    databaseUrl: parts.databaseUrl,
    connectTimeoutMs: config.connectTimeoutMs,
  });
  const events = catalogueRoutes({
    database: drizzle(reads),
    isBusy: () => reads.waitingCount >= READERS_WAITING_LIMIT,
    answers: sale.databaseAnswers,
    keeper: catalogue,
    memory,
    runAsAdmin,
    guard: access.guard,
    serve: serveRoute,
    log,
  });
  const eventOf = (seatId: number) => {
    const section = catalogue.catalogue.sectionOf(seatId);
    return section && catalogue.catalogue.event(section.eventId);
  };
  const sold = soldAtOnce(sale.batcher, reservationFigures);
  const soldUnlessDenied: typeof sold = (request) => (access.guard.hasDenials ? undefined : sold(request));
  const apps = createApps(opening, version, {
    selling: [
      reserveRoute(sale.batcher, reservationFigures, eventOf, beforeReserving, (path, request) =>
        beforeReserving ? undefined : access.guard.deniedReserving(path, request),
      ),
      ...openReservations(opening, {
        ...{ serve: serveRoute, batcher: sale.batcher, changes: sale.changes, memory, keeper: catalogue },
        completeSince: sale.completeSince,
        guard: access.guard,
      }),
      ...events.looking,
      ...live.routes({
        serve: serveRoute,
        knowsEvent: async (eventId) => (await catalogue.find(eventId)) !== undefined,
        guard: access.guard,
        findRevoked: (keyIds) => access.keys.findRevoked(keyIds),
        onDenied: (listener) => access.denials.onAdded(listener),
      }),
    ],
    direct: [{ path: RESERVE_PATH, ...(!beforeReserving && { atOnce: soldUnlessDenied }) }],
    managing: [
      ...accessRoutes({ ...access, serve: serveRoute, log }),
      ...events.administration,
      ...holdAdminRoutes({
        ...{ serve: serveRoute, runAsAdmin, keeper: catalogue, log },
        release: new HoldRelease({ runAsAdmin, changes: sale.changes }),
      }),
      healthRoute(serveRoute, { components }),
      ...metricsRoutes(serveRoute, metrics, refresh, several?.figuresOfAll),
    ],
    probes: probeRoutes(serveRoute, { ready: sale.ready }),
    serve: serveRoute,
  });
  const serving = serve(opening, apps);
  // Before it, which waits for every answer to end.
  lifecycle.onClose("streams of seat changes", () => live.close());
  return { ...serving, parts, components, drain: (delayMs) => endSale({ sale, serving, live }, delayMs) };
}

/**
 * Readiness tells load balancers that this engine is ending, and `Connection: close` tells clients. Both are served until
 * the delay is over, and no request is refused before the port closes.
 */
async function endSale(
  { sale, serving, live }: { sale: Sale; serving: Serving; live: { close(): void } },
  delayMs: number,
): Promise<void> {
  sale.announceEnd();
  serving.announceEnd();
  await Bun.sleep(delayMs);
  live.close();
  await serving.stopSelling();
  await sale.drain();
}

function openReads({ config, parts, log, lifecycle }: Opening): pg.Pool {
  const reads = openPool(
    {
      databaseUrl: parts.databaseUrl,
      connectTimeoutMs: config.connectTimeoutMs,
      statementTimeoutMs: config.statementTimeoutMs,
      name: "sentinel-reads",
      mayBeReadOnly: true,
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
    kafkaSecurity: kafkaSecurityOf(config),
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

/**
 * The connections of all threads must fit into what Postgres gives, or the busiest moment fails.
 * @throws {ConfigError} when those of all processes together do not.
 */
export function assertConnections(config: Config, { connections, setBy }: ServerConnectionLimit): void {
  const { reservationWorkers, batchesPerWorker, webConcurrency } = config;
  const ofEach =
    reservationWorkers * (batchesPerWorker + CHANGE_BATCHES_PER_WORKER) +
    SWEEPER_CONNECTIONS +
    READ_CONNECTIONS +
    RESERVATION_READ_CONNECTIONS +
    SEARCH_CONNECTIONS +
    KEY_CONNECTIONS +
    PROBE_CONNECTIONS +
    LIVE_CONNECTIONS +
    PUBLISHER_CONNECTIONS +
    ADMIN_CONNECTIONS;
  const needed = ofEach * webConcurrency;
  if (needed <= connections) return;
  if (webConcurrency > 1) {
    throw new ConfigError(
      `WEB_CONCURRENCY: ${webConcurrency} processes of ${ofEach} connections need ${needed}, Postgres gives ${connections}: lower it, RESERVATION_WORKERS or BATCHES_PER_WORKER, or raise ${setBy}`,
    );
  }
  throw new ConfigError(
    `RESERVATION_WORKERS: ${reservationWorkers} threads of ${batchesPerWorker} batches need ${needed} connections, Postgres gives ${connections}: lower it or BATCHES_PER_WORKER, or raise ${setBy}`,
  );
}
