import { Counter, Registry } from "prom-client";
import { FoldedHistogram } from "./folded-histogram.ts";
import { collectProcessMetrics, type Makers, makersFor } from "./metric-makers.ts";

/** 1 ms to 1 s is where the time to respond to a reservation lies; a little more on both sides. */
const LATENCY_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const BATCH_BUCKETS_SEATS = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/** Counted by the primary. The engine declares it too, because a counter that appears late hides its first event. */
export const PROCESS_RESTARTS = {
  name: "sentinel_process_restarts_total",
  help: "Engine processes that died and were replaced (WEB_CONCURRENCY).",
};

export const LOG_LINES_DROPPED = {
  name: "sentinel_log_lines_dropped_total",
  help: "Log lines dropped because nobody read the log or the disk was full.",
};

/** Metrics of connections and requests. */
const httpMetrics = ({ foldedCounter, counter, gauge }: Makers) => ({
  httpRequests: foldedCounter(
    "http_requests_total",
    "Completed requests by route template, method and status.",
    ["route", "method", "status"],
  ),
  httpConnections: gauge("http_connections", "Open client connections, counted every 5 s.", "apart"),
  httpConnectionLimit: gauge("http_connection_limit", "Maximum connections of a process.", "apart"),
  httpConnectionsClosed: counter(
    "http_connections_closed_total",
    "Connections closed at the connection limit, by state: silent (never sent anything), idle (between requests), asking (waiting for a response).",
    ["reason"],
  ),
  accessRefusals: counter(
    "access_refusals_total",
    "Requests refused before their route: unauthorized, forbidden, rate_limited, denied or unavailable.",
    ["reason"],
  ),
  changeStreams: gauge("change_streams", "Clients listening to the seat changes of an event.", "sum"),
  changeStreamDrops: counter(
    "change_stream_drops_total",
    "Clients cut off from seat changes, by reason: slow-consumer (the client read too slowly).",
    ["reason"],
  ),
});

/** Metrics of reservations and their batches. */
const saleMetrics = ({ counter, gauge, histogram, registry }: Makers) => ({
  reservations: counter("reservations_total", "Reserve requests by outcome.", ["outcome"]),
  reservationDuration: new FoldedHistogram(
    registry,
    "sentinel_reservation_duration_seconds",
    "Time from arrival to response of reserve requests decided by a worker; refusals from memory are not counted.",
    LATENCY_BUCKETS_SECONDS,
    { name: "outcome", values: ["won", "taken", "failed"] },
  ),
  stageDuration: histogram(
    "reservation_stage_duration_seconds",
    "Time of a batch by stage: queue (the wait of its oldest request), lock, transaction, answer; change is the transaction of a batch of changes.",
    LATENCY_BUCKETS_SECONDS,
    ["stage"],
  ),
  batchSeats: histogram("batch_seats", "Seats in a batch.", BATCH_BUCKETS_SEATS),
  queueSeats: gauge("queue_seats", "Seats waiting for a worker.", "apart"),
  queueLimitSeats: gauge(
    "queue_limit_seats",
    "Seats that may wait for a worker; one more gets 503.",
    "apart",
  ),
  filterHits: counter(
    "filter_hits_total",
    "Reserve requests refused from memory: the seat is sold for good, or being decided in this process.",
    ["reason"],
  ),
  seatsRemembered: gauge("seats_remembered", "Seats whose state and version are remembered.", "max"),
  versionConflicts: counter(
    "version_conflicts_total",
    "Seats that had changed since they were read, and were tried once more.",
  ),
  batchReruns: counter(
    "batch_reruns_total",
    "Batches whose requests were rerun one by one after a statement error that one may have caused.",
  ),
  doubtfulBatches: counter(
    "doubtful_batches_total",
    "Batches whose result was lost (the connection or thread died) and was looked up.",
  ),
});

/** Metrics of holds and of changes of reservations. */
const holdMetrics = ({ foldedCounter, counter, gauge, histogram }: Makers) => ({
  holds: foldedCounter("holds_total", "Requests to hold seats, by outcome.", ["outcome"]),
  changes: foldedCounter(
    "changes_total",
    "Requests to confirm, release, extend or cancel a reservation, by outcome.",
    ["action", "outcome"],
  ),
  sweptSeats: counter("swept_seats_total", "Seats of expired holds freed by the sweeper."),
  sweeperActive: gauge("sweeper_active", "1 in the one process that sweeps expired holds.", "sum"),
  overdueHolds: gauge(
    "overdue_holds",
    "Holds that expired more than 2 s ago and are not swept, counted up to 10000.",
    "max",
  ),
  overdueHoldSeconds: gauge(
    "overdue_hold_seconds",
    "Time since the oldest overdue hold expired; 0 if there is none.",
    "max",
  ),
  changeBatchReservations: histogram(
    "change_batch_reservations",
    "Reservations in a batch of confirmations, releases, extensions and cancellations.",
    BATCH_BUCKETS_SEATS,
  ),
});

/** Metrics of Postgres, Redis and the feed between processes. */
const partMetrics = ({ counter, gauge }: Makers) => ({
  lockConflicts: counter("lock_conflicts_total", "Seats whose Redis lock a rival held."),
  lockGhosts: counter(
    "lock_ghosts_total",
    "Locks ignored as too old, left by a holder that died; Postgres decided.",
  ),
  unguardedBatches: counter(
    "unguarded_batches_total",
    "Batches decided by Postgres alone, without a Redis lock.",
  ),
  lockDegraded: gauge("lock_degraded", "1 while this thread works without Redis locks.", "apart", ["thread"]),
  lockMasterUp: gauge(
    "lock_master_up",
    "1 while seats can be locked at this Redis master, by its number in REDIS_URL. Absent until known.",
    "min",
    ["master"],
  ),
  feedUp: gauge(
    "feed_up",
    "1 while this process receives the change feed of the others; 0 while it is lost or not configured.",
    "min",
  ),
  feedCatchUps: counter(
    "feed_catch_ups_total",
    "Catch-ups of memory from the ledger after the feed was lost.",
  ),
  componentUp: gauge(
    "component_up",
    "1 while the part works: db, redis, kafka, events (the file without Kafka). Absent for parts that are not configured, and until the first result.",
    "min",
    ["component"],
  ),
  dbPoolConnections: gauge(
    "db_pool_connections",
    "Connections of a thread's pool: total and idle; waiting counts the callers that wait.",
    "apart",
    ["thread", "state"],
  ),
});

/** Metrics of publishing and of the auditor. */
const ledgerMetrics = ({ counter, gauge, histogram }: Makers) => ({
  ledgerBacklogRows: gauge(
    "ledger_backlog_rows",
    "Committed ledger rows not yet published, counted up to 100000.",
    "max",
  ),
  ledgerBacklogSeconds: gauge(
    "ledger_backlog_seconds",
    "Age of the oldest ledger row not yet published.",
    "max",
  ),
  ledgerHorizonSeconds: gauge(
    "ledger_horizon_seconds",
    "Age of the oldest transaction still writing in the cluster, which publishing waits for.",
    "max",
  ),
  publisherActive: gauge("publisher_active", "1 in the process that publishes.", "sum"),
  publishedEvents: counter("published_events_total", "Ledger rows acknowledged by the sink."),
  publishDuration: histogram(
    "publish_duration_seconds",
    "Time of one send to the sink, until acknowledged.",
    LATENCY_BUCKETS_SECONDS,
  ),
  topicPartitions: gauge(
    "topic_partitions",
    "The topic's number of partitions, from the publishing process.",
    "max",
  ),
  topicPartitionsUsed: gauge(
    "topic_partitions_used",
    "Partitions that events are spread over; if it differs from the topic's number, an operator must confirm.",
    "max",
  ),
  publishFailures: counter("publish_failures_total", "Failed sends, which will be repeated."),
  auditChecks: counter(
    "audit_checks_total",
    "Items checked by the background auditor, by part: seats (rows against their ledger), memory, locks, topic or file, ledger.",
    ["part"],
  ),
  auditDrift: gauge(
    "audit_drift",
    "Contradictions that the auditor has found and that still exist, by part, counted up to 100.",
    "max",
    ["part"],
  ),
  auditLastRound: gauge(
    "audit_last_round_timestamp_seconds",
    "End of the auditor's last round; before the first, the auditor's start.",
    "min",
  ),
  auditRoundDuration: histogram(
    "audit_round_duration_seconds",
    "Time of one round of the auditor.",
    LATENCY_BUCKETS_SECONDS,
  ),
});

/** Metrics of threads and processes. */
const processMetrics = ({ counter, gauge, registry }: Makers) => ({
  workerThreads: gauge(
    "worker_threads",
    "Worker threads by pool: running, and busy with at least one task.",
    "apart",
    ["pool", "state"],
  ),
  workerRestarts: counter("worker_restarts_total", "Worker threads that died and were replaced.", ["pool"]),
  threadHeapUsed: gauge("thread_heap_used_bytes", "JavaScript heap in use, by thread.", "apart", ["thread"]),
  threadHeapTotal: gauge("thread_heap_size_bytes", "JavaScript heap reserved, by thread.", "apart", [
    "thread",
  ]),
  eventLoopLag: gauge(
    "event_loop_lag_seconds",
    "Longest event-loop delay of the thread in the last sampling interval.",
    "apart",
    ["thread"],
  ),
  processes: gauge("processes", "Engine processes on this port, as configured.", "max"),
  processesAnswering: gauge(
    "processes_answering",
    "Engine processes included in this response; one that hangs or is being replaced is missing.",
    "sum",
  ),
  processRestarts: new Counter({ ...PROCESS_RESTARTS, registers: [registry] }),
  logLinesDropped: new Counter({ ...LOG_LINES_DROPPED, registers: [registry] }),
  buildInfo: gauge("build_info", "Always 1; the labels name the running versions.", "max", [
    "version",
    "bun",
  ]),
});

/**
 * Creates all metrics of the engine. They use base units, the prefix `sentinel_` (the process metrics have
 * the names that Prometheus clients share) and labels with few values, never a seat or a buyer.
 */
export function createMetrics() {
  const registry = new Registry();
  collectProcessMetrics(registry);
  const makers = makersFor(registry);
  return {
    registry,
    ...httpMetrics(makers),
    ...saleMetrics(makers),
    ...holdMetrics(makers),
    ...partMetrics(makers),
    ...ledgerMetrics(makers),
    ...processMetrics(makers),
  };
}

export type Metrics = ReturnType<typeof createMetrics>;
