import { type Config, ConfigError } from "../config/config.ts";
import type { Context } from "../parts/context.ts";
import { type Database, openDatabase } from "../postgres/connect.ts";
import { PROBE_LOCK_TIMEOUT_MS } from "../postgres/readiness.ts";
import type { ServerConnectionLimit } from "../postgres/server-facts.ts";

const PROBE_TIMEOUT_MS = 1000;

/** The main thread's pools. Each serves one kind of query, so that none waits behind another kind. */
const POOLS = {
  /** The catalogue, memory and the audit. */
  reads: { name: "sentinel-reads", connections: 3 },
  /** Reservations and idempotency keys that a request asks for. */
  reservations: { name: "sentinel-reservation-reads", connections: 2 },
  /** Free seats that a search asks for. Only one search runs at a time. */
  searches: { name: "sentinel-searches", connections: 1 },
  /** API keys and denials. */
  keys: { name: "sentinel-keys", connections: 1 },
  /** Seat changes for the streams. */
  live: { name: "sentinel-live", connections: 1 },
  /** The probe of the database's gate, once a second. */
  probes: {
    name: "sentinel-probe",
    connections: 1,
    statementTimeoutMs: PROBE_TIMEOUT_MS,
    lockTimeoutMs: PROBE_LOCK_TIMEOUT_MS,
  },
};

/**
 * Sessions that their rooms open and close. Two admins can change the catalogue, one of them waiting for the other; a
 * third is refused.
 */
export const SESSIONS = { sweeper: 1, publisher: 1, admin: 2 };

/**
 * Batches of confirmations and other changes that a reservation thread runs beside the batches that take seats. They
 * have connections of their own, so that they never wait behind a batch that takes seats.
 */
export const CHANGE_BATCHES_PER_WORKER = 2;

export type Connections = Record<keyof typeof POOLS, Database>;

/**
 * Opens the pools of the main thread. A pool connects when it is first used.
 * @throws {ConfigError} like `assertConnections`.
 */
export function openConnections(context: Context): Connections {
  const { config, parts, log, lifecycle } = context;
  assertConnections(config, parts.database.connectionLimit);
  const open = ({ name, connections, ...limits }: (typeof POOLS)[keyof typeof POOLS]) => {
    const database = openDatabase(
      {
        databaseUrl: parts.databaseUrl,
        connectTimeoutMs: config.connectTimeoutMs,
        statementTimeoutMs: config.statementTimeoutMs,
        mayBeReadOnly: true,
        connectionLimit: connections,
        name,
        ...limits,
      },
      (error) => log.debug({ error: error.message, name }, "an idle database connection was lost"),
    );
    lifecycle.onClose(`pool ${name}`, () => database.$client.end());
    return database;
  };
  return {
    reads: open(POOLS.reads),
    reservations: open(POOLS.reservations),
    searches: open(POOLS.searches),
    keys: open(POOLS.keys),
    live: open(POOLS.live),
    probes: open(POOLS.probes),
  };
}

/** Updates the gauges of the main thread's connections. */
export function reportConnections({ metrics }: Context, connections: Connections): void {
  const pools = Object.values(connections).map(({ $client }) => $client);
  const report = (state: string, count: "totalCount" | "idleCount" | "waitingCount") => {
    const sum = pools.reduce((counted, pool) => counted + pool[count], 0);
    metrics.dbPoolConnections.set({ thread: "main", state }, sum);
  };
  report("total", "totalCount");
  report("idle", "idleCount");
  report("waiting", "waitingCount");
}

/**
 * Checks that Postgres accepts enough connections.
 * @throws {ConfigError} if it accepts fewer than all processes together may open.
 */
export function assertConnections(config: Config, { connections, setBy }: ServerConnectionLimit): void {
  const { reservationWorkers, batchesPerWorker, webConcurrency } = config;
  const ofMain = Object.values(POOLS).reduce((sum, pool) => sum + pool.connections, 0);
  const ofSessions = Object.values(SESSIONS).reduce((sum, count) => sum + count, 0);
  const ofThreads = reservationWorkers * (batchesPerWorker + CHANGE_BATCHES_PER_WORKER);
  const ofEach = ofThreads + ofMain + ofSessions;
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
