import { type Access, openAccess } from "../access/open.ts";
import { accessRoutes } from "../access/routes.ts";
import type { CatalogueKeeper } from "../catalogue/keeper.ts";
import { openCatalogue } from "../catalogue/open.ts";
import { catalogueRoutes } from "../catalogue/routes.ts";
import type { Config } from "../config/config.ts";
import { PeerAddresses } from "../http/peer-addresses.ts";
import { routesWith } from "../http/route.ts";
import { openLedger } from "../ledger/open.ts";
import { type Live, openLive } from "../live/open.ts";
import { liveRoutes } from "../live/routes.ts";
import type { Context } from "../parts/context.ts";
import { openParts, type Parts } from "../parts/parts.ts";
import { adminSessions } from "../postgres/admin-session.ts";
import { openAudit } from "../proof/audit/open.ts";
import { holdAdminRoutes } from "../reservations/hold-admin-routes.ts";
import { HoldRelease } from "../reservations/hold-release.ts";
import { openReservations, type Reservations } from "../reservations/open.ts";
import { RESERVE_PATH, reserveRoute, soldAtOnce } from "../reservations/reserve-route.ts";
import { reservationsRoutes } from "../reservations/routes.ts";
import type { Lifecycle } from "../runtime/lifecycle.ts";
import type { Logger } from "../telemetry/log.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import type { PartStates } from "../telemetry/part-state.ts";
import { EngineMetrics } from "../threads/engine-metrics.ts";
import { sampleThread } from "../threads/thread-sampler.ts";
import { SeatEvents } from "../venue/seat-events.ts";
import { SeatMemory } from "../venue/seat-memory.ts";
import {
  CHANGE_BATCHES_PER_WORKER,
  type Connections,
  openConnections,
  reportConnections,
  SESSIONS,
} from "./connections.ts";
import { healthRoute, probeRoutes } from "./health-routes.ts";
import { type AllMetrics, metricsRoutes } from "./metrics-routes.ts";
import { createApps, type Routes, type Serving, serve as serveHttp } from "./serve.ts";

/** Maximum number of readers that wait for a connection of this pool. Further requests are answered 503. */
const READERS_WAITING_LIMIT = 100;

/** Present if this process is one of several on its port: what their primary has opened for all of them. */
export interface OneOfSeveral {
  parts: Parts;
  allMetrics: AllMetrics;
}

export interface Engine extends Pick<Serving, "url" | "managementUrl"> {
  parts: Parts;
  /** Returns the states of the parts, as far as they are known. Absent for the primary of several processes. */
  components?(): PartStates;
  /**
   * Ends the sale without an error for any client. Resolves when every accepted request is answered.
   * @param delayMs how long selling goes on while readiness is 503.
   */
  drain(delayMs: number): Promise<void>;
}

/**
 * Opens the rooms in order and serves. Each room needs only what opened before it, and all close in reverse order.
 *
 * | opens | needs | provides |
 * |---|---|---|
 * | parts | config | addresses of Postgres, Redis and Kafka, or embedded ones |
 * | context | parts | two kinds of metrics; with config, parts, log and lifecycle it goes to every room |
 * | connections | | the main thread's pools, checked against what Postgres gives |
 * | seat events, memory | | the listeners of seat changes; what is known of each seat |
 * | ledger | seat events | the thread that publishes |
 * | catalogue | reads, memory | events and sections |
 * | reservations | pools, seat events, memory, catalogue | batchers, holds, the database's gate, readiness |
 * | access | keys' pool, gate, peer addresses | keys, denials and the guard of every route |
 * | live | live's pool, seat events, access | streams of seat changes |
 * | audit | reads, memory, gate | findings, in metrics and log |
 * | routes | all of these | |
 * | HTTP | routes, peer addresses | ports |
 *
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
  const context = openContext({ config, parts, log, lifecycle }, version);
  const connections = openConnections(context);
  if (parts.database.notice !== undefined && !several) log.warn(parts.database.notice);
  const seatEvents = new SeatEvents();
  const memory = new SeatMemory();
  const { reads } = connections;
  const publisher = openLedger(context, { seatEvents });
  const catalogue = await openCatalogue({ database: reads, memory });
  const reservations = openReservations(context, {
    ...{ connections, changeBatchesPerThread: CHANGE_BATCHES_PER_WORKER },
    ...{ memory, seatEvents, catalogue },
  });
  const { gate } = reservations;
  const peers = new PeerAddresses();
  const access = openAccess(context, { database: connections.keys, gate, connectionOf: peers.of });
  const live = openLive(context, { database: connections.live, seatEvents, access });
  openAudit(context, { database: reads, memory, gate });

  const components = () => context.engineMetrics.components(gate.isUp);
  const refresh = () => {
    context.engineMetrics.refresh({ components: components(), publisher });
    reportConnections(context, connections);
    reservations.refresh();
    live.refresh();
  };
  const apps = createApps(
    context,
    version,
    routesOf(context, {
      ...{ connections, memory, catalogue, reservations, access, live },
      operations: { components, refresh, allMetrics: several?.allMetrics },
    }),
  );
  const serving = serveHttp(context, apps, peers);
  // Closes before the server, which waits for every response to end.
  lifecycle.onClose("streams of seat changes", () => live.close());
  const drain = (delayMs: number) => endSale({ reservations, serving, live }, delayMs);
  return { ...serving, parts, components, drain };
}

function openContext(
  { config, parts, log, lifecycle }: Omit<Context, "metrics" | "engineMetrics">,
  version: string,
): Context {
  const metrics = createMetrics();
  metrics.buildInfo.set({ version, bun: Bun.version }, 1);
  metrics.processes.set(config.webConcurrency);
  metrics.processesAnswering.set(1);
  const engineMetrics = new EngineMetrics({
    ...{ metrics, log, hasRedis: parts.redisUrls.length > 0, hasKafka: parts.kafkaBrokers !== undefined },
    reservationThreads: config.reservationWorkers,
  });
  lifecycle.onClose("samples", sampleThread((sample) => engineMetrics.sampled("main", sample)).stop);
  return { config, parts, metrics, engineMetrics, log, lifecycle };
}

interface Rooms {
  connections: Connections;
  memory: SeatMemory;
  catalogue: CatalogueKeeper;
  reservations: Reservations;
  access: Access;
  live: Live;
  operations: { components(): PartStates; refresh(): void; allMetrics: AllMetrics | undefined };
}

/** Collects the routes of all rooms. */
function routesOf(
  { config, parts, metrics, log }: Context,
  { connections, memory, catalogue, reservations, access, live, operations }: Rooms,
): Routes {
  const { reads } = connections;
  const { batcher, changes, reservationMetrics, gate } = reservations;
  const { beforeReserving } = access.guard;
  const serve = routesWith({ guard: access.guard, metrics, bodyLimitBytes: config.bodyLimitBytes });
  const runAsAdmin = adminSessions({
    databaseUrl: parts.databaseUrl,
    connectTimeoutMs: config.connectTimeoutMs,
    connectionLimit: SESSIONS.admin,
  });
  const events = catalogueRoutes({
    database: reads,
    isBusy: () => reads.$client.waitingCount >= READERS_WAITING_LIMIT,
    answers: () => gate.answers,
    keeper: catalogue,
    memory,
    runAsAdmin,
    guard: access.guard,
    serve,
    log,
  });
  const eventOf = (seatId: number) => {
    const section = catalogue.catalogue.sectionOf(seatId);
    return section && catalogue.catalogue.event(section.eventId);
  };
  const sold = soldAtOnce(batcher, reservationMetrics);
  const soldUnlessDenied: typeof sold = (request) => (access.guard.hasDenials ? undefined : sold(request));
  return {
    selling: [
      reserveRoute(batcher, reservationMetrics, eventOf, beforeReserving, (path, request) =>
        beforeReserving ? undefined : access.guard.deniedReserving(path, request),
      ),
      ...reservationsRoutes({
        ...{ ...reservations, keeper: catalogue, guard: access.guard },
        ...{ serve, metrics, log },
      }),
      ...events.looking,
      ...liveRoutes({
        ...{ serve, hub: live.hub, guard: access.guard },
        knowsEvent: async (eventId) => (await catalogue.find(eventId)) !== undefined,
      }),
    ],
    direct: [{ path: RESERVE_PATH, ...(!beforeReserving && { atOnce: soldUnlessDenied }) }],
    managing: [
      ...accessRoutes({ ...access, serve, log }),
      ...events.administration,
      ...holdAdminRoutes({
        ...{ serve, runAsAdmin, keeper: catalogue, log },
        release: new HoldRelease({ runAsAdmin, changes }),
      }),
      healthRoute(serve, { components: operations.components }),
      ...metricsRoutes(serve, metrics, operations.refresh, operations.allMetrics),
    ],
    probes: probeRoutes(serve, { ready: () => reservations.admission.isReady }),
    serve,
  };
}

/**
 * Ends the sale. Readiness tells load balancers that this engine is ending, and `Connection: close` tells clients. Both
 * are served until the delay is over, and no request is refused before the port closes.
 */
async function endSale(
  { reservations, serving, live }: { reservations: Reservations; serving: Serving; live: Live },
  delayMs: number,
): Promise<void> {
  reservations.admission.announceEnd();
  serving.announceEnd();
  await Bun.sleep(delayMs);
  live.close();
  await serving.stopSelling();
  await reservations.admission.drain();
}
