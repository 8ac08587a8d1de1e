import type { PublisherReport, ThreadSample } from "../dispatch/messages.ts";
import type { Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";

/** Which parts answer, as their threads last said. Absent: not configured. */
export interface ComponentsUp {
  db: boolean;
  redis?: boolean;
  kafka?: boolean;
}

interface PoolCounts {
  totalCount: number;
  idleCount: number;
  waitingCount: number;
}

export interface EngineFiguresOptions {
  metrics: Metrics;
  log: Logger;
  hasRedis: boolean;
  hasKafka: boolean;
}

/** Takes in what the threads report: into metrics, and into the log when something has changed. */
export class EngineFigures {
  private readonly degradedThreads = new Set<string>();
  private redisUp = true;
  private kafkaUp = true;

  constructor(private readonly options: EngineFiguresOptions) {
    // A counter that is not there before its first event hides that event from rate().
    for (const pool of ["reservation", "publisher"]) options.metrics.workerRestarts.inc({ pool }, 0);
  }

  components(databaseUp: boolean): ComponentsUp {
    const { hasRedis, hasKafka } = this.options;
    return {
      db: databaseUp,
      ...(hasRedis ? { redis: this.redisUp } : {}),
      ...(hasKafka ? { kafka: this.kafkaUp } : {}),
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
    if (sample.lockDegraded !== undefined) this.locks(thread, sample.lockDegraded);
  }

  published(report: PublisherReport): void {
    const { metrics } = this.options;
    this.kafkaUp = report.sinkUp;
    metrics.publisherActive.set(report.active ? 1 : 0);
    metrics.publishedEvents.inc(report.publishedCount);
    for (const seconds of report.publishSeconds) metrics.publishDuration.observe(seconds);
    metrics.publishFailures.inc(report.failureCount);
    metrics.ledgerBacklogRows.set(report.backlogRows);
    metrics.ledgerBacklogSeconds.set(report.backlogSeconds);
    metrics.ledgerHorizonSeconds.set(report.horizonSeconds);
    for (const part of this.publishedParts()) {
      // A round that failed says nothing of it, and what was found stands.
      if (report.audit || !report.active) metrics.auditDrift.set({ part }, report.audit?.[part].drift ?? 0);
      metrics.auditChecks.inc({ part }, report.audit?.[part].lookedAt ?? 0);
    }
  }

  restarted(pool: "reservation" | "publisher"): void {
    this.options.metrics.workerRestarts.inc({ pool });
    this.options.log.error(
      { pool },
      "a worker thread died; it is replaced and what it had under way is settled",
    );
  }

  /** Brings the gauges up to date that are not set as things happen. */
  refresh({
    components,
    reads,
    publisher,
  }: {
    components: ComponentsUp;
    reads: PoolCounts;
    publisher: { isBusy: boolean };
  }): void {
    const { metrics } = this.options;
    for (const [component, up] of Object.entries(components))
      metrics.componentUp.set({ component }, up ? 1 : 0);
    metrics.workerThreads.set({ pool: "publisher", state: "running" }, 1);
    metrics.workerThreads.set({ pool: "publisher", state: "busy" }, publisher.isBusy ? 1 : 0);
    metrics.dbPoolConnections.set({ thread: "main", state: "total" }, reads.totalCount);
    metrics.dbPoolConnections.set({ thread: "main", state: "idle" }, reads.idleCount);
    metrics.dbPoolConnections.set({ thread: "main", state: "waiting" }, reads.waitingCount);
  }

  /** @param reason why nothing can be sold. */
  databaseChanged(state: "up" | "unsellable" | "away", reason: string | undefined): void {
    const { log } = this.options;
    switch (state) {
      case "up":
        log.info("the database is back");
        break;
      case "unsellable":
        log.error({ reason }, "the database takes no sales: requests are answered 503 until it does");
        break;
      case "away":
        log.error({ reason }, "the database is away: requests are answered 503 until it is back");
        break;
      default:
        throw new Error(`unknown state ${state satisfies never}`);
    }
  }

  /** What the process that publishes audits beside. */
  private publishedParts(): ("topic" | "ledger")[] {
    return this.options.hasKafka ? ["topic", "ledger"] : ["ledger"];
  }

  private locks(thread: string, degraded: boolean): void {
    const { metrics, log } = this.options;
    metrics.lockDegraded.set({ thread }, degraded ? 1 : 0);
    if (degraded) this.degradedThreads.add(thread);
    else this.degradedThreads.delete(thread);
    const up = this.degradedThreads.size === 0;
    if (up === this.redisUp) return;
    this.redisUp = up;
    if (up) log.info("Redis is back: seats are locked again");
    else log.warn("Redis is away: selling goes on, guarded by the database alone");
  }
}
