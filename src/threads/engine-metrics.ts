import { never } from "../runtime/assert.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { PartState, PartStates } from "../telemetry/part-state.ts";
import type { PublisherReport, ThreadSample } from "./messages.ts";
import { RedisMetrics } from "./redis-metrics.ts";

export interface EngineMetricsOptions {
  metrics: Metrics;
  log: Logger;
  hasRedis: boolean;
  hasKafka: boolean;
  /** The number of threads that lock seats. */
  reservationThreads: number;
}

/** Turns the reports of the threads into metrics, and into log lines when something changes. */
export class EngineMetrics {
  private readonly redis: RedisMetrics;
  private sink: PartState = "unknown";

  constructor(private readonly options: EngineMetricsOptions) {
    const { metrics, log, reservationThreads: threadCount } = options;
    this.redis = new RedisMetrics({ metrics, log, threadCount });
    // Creates the counters at 0, because rate() misses the first event of a counter that appears with it.
    for (const pool of ["reservation", "publisher"]) options.metrics.workerRestarts.inc({ pool }, 0);
  }

  components(databaseUp: boolean): PartStates {
    const { hasRedis, hasKafka } = this.options;
    return {
      db: databaseUp ? "up" : "down",
      ...(hasRedis && { redis: this.redis.state }),
      ...(hasKafka ? { kafka: this.sink } : { events: this.sink }),
    };
  }

  sampled(thread: string, sample: ThreadSample): void {
    const { metrics } = this.options;
    metrics.threadHeapUsed.set({ thread }, sample.heapUsedBytes);
    metrics.threadHeapTotal.set({ thread }, sample.heapSizeBytes);
    metrics.eventLoopLag.set({ thread }, sample.eventLoopLagSeconds);
    metrics.logLinesDropped.inc(sample.logLinesDropped);
    if (sample.pool) {
      for (const [state, count] of Object.entries(sample.pool))
        metrics.dbPoolConnections.set({ thread, state }, count);
    }
    if (sample.locks) this.redis.reported(thread, sample.locks);
  }

  published(report: PublisherReport): void {
    const { metrics } = this.options;
    if (report.sinkIsKnown) this.sink = report.sinkUp ? "up" : "down";
    metrics.publisherActive.set(report.active ? 1 : 0);
    metrics.publishedEvents.inc(report.publishedCount);
    for (const seconds of report.publishSeconds) metrics.publishDuration.observe(seconds);
    metrics.publishFailures.inc(report.failureCount);
    metrics.ledgerBacklogRows.set(report.backlogRows);
    metrics.ledgerBacklogSeconds.set(report.backlogSeconds);
    metrics.ledgerHorizonSeconds.set(report.horizonSeconds);
    for (const [part, kind] of this.publishedParts()) {
      // A failed round says nothing about the audit, so the earlier findings stand.
      if (report.audit || !report.active) metrics.auditDrift.set({ part }, report.audit?.[kind].drift ?? 0);
      metrics.auditChecks.inc({ part }, report.audit?.[kind].lookedAt ?? 0);
    }
    if (report.partitions) {
      metrics.topicPartitions.set(report.partitions.count);
      metrics.topicPartitionsUsed.set(report.partitions.used);
    }
  }

  restarted(pool: "reservation" | "publisher"): void {
    this.options.metrics.workerRestarts.inc({ pool });
    this.options.log.error(
      { pool },
      "a worker thread died: it is being replaced, and its unfinished work is being settled",
    );
  }

  /** Updates the gauges that are not set as things happen. */
  refresh({ components, publisher }: { components: PartStates; publisher: { isBusy: boolean } }): void {
    const { metrics } = this.options;
    for (const [component, state] of Object.entries(components))
      if (state !== "unknown") metrics.componentUp.set({ component }, state === "up" ? 1 : 0);
    metrics.workerThreads.set({ pool: "publisher", state: "running" }, 1);
    metrics.workerThreads.set({ pool: "publisher", state: "busy" }, publisher.isBusy ? 1 : 0);
  }

  /** @param reason why nothing can be sold; undefined for `up` */
  databaseChanged(state: "up" | "unsellable" | "away", reason: string | undefined): void {
    const { log } = this.options;
    switch (state) {
      case "up":
        log.info("the database is available again");
        break;
      case "unsellable":
        log.error({ reason }, "the database cannot sell: requests get 503 until it can");
        break;
      case "away":
        log.error({ reason }, "the database is unavailable: requests get 503 until it is available again");
        break;
      default:
        never(state, "state of the database");
    }
  }

  /** Returns the parts that the publishing process audits. */
  private publishedParts(): [part: "topic" | "file" | "ledger", kind: "topic" | "ledger"][] {
    return [
      [this.options.hasKafka ? "topic" : "file", "topic"],
      ["ledger", "ledger"],
    ];
  }
}
