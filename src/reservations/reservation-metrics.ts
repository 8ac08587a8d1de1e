import type { Metrics } from "../telemetry/metrics.ts";
import { type ReserveLabel, STATUS_BY_LABEL } from "../venue/outcome.ts";
import type { DecidedBatch } from "./batcher.ts";
import { labelOf, type Outcome } from "./outcome.ts";

const ROUTE = "/api/v1/bookings/reserve/:seatId";

const LABELS = Object.keys(STATUS_BY_LABEL) as ReserveLabel[];

/**
 * Counts on the hot path, in plain numbers that are folded into the metrics at each scrape. A counter with
 * labels would cost each refused request a tenth of its time.
 */
export class ReservationMetrics {
  private readonly counts = Object.fromEntries(LABELS.map((label) => [label, 0])) as Record<
    ReserveLabel,
    number
  >;
  private readonly filterHits = { reserved: 0, in_flight: 0 };

  constructor(private readonly metrics: Metrics) {}

  invalid(): void {
    this.counts.invalid++;
  }

  /** Counts an answer that needed no worker. */
  answeredFromMemory(outcome: Outcome): void {
    this.counts[labelOf(outcome)]++;
    if (outcome.kind === "taken")
      this.filterHits[outcome.reason === "contended" ? "in_flight" : "reserved"]++;
  }

  answered(outcome: Outcome): void {
    this.counts[labelOf(outcome)]++;
  }

  decided({ answer, seatCount, queuedMs, sentAt, requests }: DecidedBatch): void {
    const { metrics } = this;
    const now = performance.now();
    const roundTripMs = now - sentAt;
    metrics.stageDuration.observe({ stage: "queue" }, queuedMs / 1000);
    metrics.stageDuration.observe({ stage: "lock" }, answer.lockMs / 1000);
    metrics.stageDuration.observe({ stage: "transaction" }, answer.transactionMs / 1000);
    metrics.stageDuration.observe(
      { stage: "answer" },
      Math.max(0, roundTripMs - answer.lockMs - answer.transactionMs) / 1000,
    );
    metrics.batchSeats.observe(seatCount);
    for (const { result, arrivedAt } of requests)
      metrics.reservationDuration.observe(result, (now - arrivedAt) / 1000);
    if (answer.conflictCount > 0) metrics.lockConflicts.inc(answer.conflictCount);
    if (answer.ghostCount > 0) metrics.lockGhosts.inc(answer.ghostCount);
    if (answer.movedCount > 0) metrics.versionConflicts.inc(answer.movedCount);
    if (!answer.isLocked) metrics.unguardedBatches.inc();
    if (answer.reran) metrics.batchReruns.inc();
  }

  /** Counts a decided batch of changes of reservations. */
  changed(count: number, transactionMs: number): void {
    this.metrics.stageDuration.observe({ stage: "change" }, transactionMs / 1000);
    if (count > 0) this.metrics.changeBatchReservations.observe(count);
  }

  /** Writes the totals into the metrics. Called at each scrape. */
  fold(): void {
    const { httpRequests, reservations, filterHits } = this.metrics;
    const byStatus = new Map<number, number>();
    reservations.reset();
    for (const label of LABELS) {
      reservations.inc({ outcome: label }, this.counts[label]);
      byStatus.set(STATUS_BY_LABEL[label], (byStatus.get(STATUS_BY_LABEL[label]) ?? 0) + this.counts[label]);
    }
    for (const [status, count] of byStatus) {
      const labels = { route: ROUTE, method: "POST", status };
      httpRequests.remove(labels);
      httpRequests.inc(labels, count);
    }
    filterHits.reset();
    filterHits.inc({ reason: "reserved" }, this.filterHits.reserved);
    filterHits.inc({ reason: "in_flight" }, this.filterHits.in_flight);
  }
}
