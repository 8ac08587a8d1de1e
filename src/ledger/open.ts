import { kafkaSecurityOf } from "../config/credential-relations.ts";
import type { Context } from "../parts/context.ts";
import type { PublisherSettings } from "../threads/messages.ts";
import { PublisherLoop } from "../threads/publisher-loop.ts";
import { ThreadPool } from "../threads/thread-pool.ts";
import type { SeatEvents } from "../venue/seat-events.ts";

/** Longest flush of the ledger while ending; what remains is published by the next start, or by a peer. */
const FLUSH_LIMIT_MS = 4000;

/** Opens the thread that publishes the ledger, and keeps it at work. */
export function openLedger(
  { config, parts, engineMetrics, lifecycle }: Context,
  { seatEvents }: { seatEvents: SeatEvents },
): PublisherLoop {
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
    onSample: (thread, sample) => engineMetrics.sampled(thread, sample),
    onRestart: () => engineMetrics.restarted("publisher"),
  });
  lifecycle.onClose("publisher thread", () => pool.close());
  const publisher = new PublisherLoop({
    pool,
    pollMs: config.publishPollMs,
    onReport: (report) => engineMetrics.published(report),
  });
  lifecycle.onClose("publisher", () => publisher.stop(FLUSH_LIMIT_MS));
  seatEvents.onChange(() => publisher.poke());
  return publisher;
}
