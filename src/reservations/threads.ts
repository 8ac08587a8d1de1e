import { redisTlsOf } from "../config/credential-relations.ts";
import { type Context, keyPrefixOf } from "../parts/context.ts";
import type { ReservationSettings } from "../threads/messages.ts";
import { ThreadPool } from "../threads/thread-pool.ts";

export interface ReservationThreadsOptions {
  presence: number;
  /** Batches that one thread runs at once, each on a connection of its own. */
  batchesPerThread: number;
}

/** Opens the threads that take and change seats. */
export function openReservationThreads(
  { config, parts, engineMetrics, lifecycle }: Context,
  { presence, batchesPerThread }: ReservationThreadsOptions,
): ThreadPool {
  const settings: ReservationSettings = {
    databaseUrl: parts.databaseUrl,
    redisUrls: parts.redisUrls,
    redisTls: redisTlsOf(config),
    keyPrefix: keyPrefixOf(parts),
    presence,
    connectionLimit: batchesPerThread,
    statementTimeoutMs: config.statementTimeoutMs,
    connectTimeoutMs: config.connectTimeoutMs,
    lockTtlMs: config.lockTtlMs,
    redisTimeoutMs: config.redisTimeoutMs,
    logLevel: config.logLevel,
  };
  const threads = new ThreadPool({
    name: "reservation",
    threadCount: config.reservationWorkers,
    tasksPerThread: batchesPerThread,
    settings,
    onSample: (thread, sample) => engineMetrics.sampled(thread, sample),
    onRestart: () => engineMetrics.restarted("reservation"),
  });
  lifecycle.onClose("reservation threads", () => threads.close());
  return threads;
}
