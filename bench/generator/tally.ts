import { build } from "hdr-histogram-js";
import type { GeneratorResult, Latency, RateSample } from "./task.ts";

/** The interval of the plots. */
const SAMPLE_MS = 250;
const HIGHEST_LATENCY_US = 60_000_000;
const SIGNIFICANT_DIGITS = 3;

/** Counts responses and their latencies, in total and by interval. */
export class Tally {
  private readonly histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_LATENCY_US,
    numberOfSignificantValueDigits: SIGNIFICANT_DIGITS,
  });
  private readonly statuses = new Map<number, number>();
  private readonly wins = new Map<number, number>();
  private readonly samples: RateSample[] = [];
  private interval = { endsAt: 0, accepted: 0, refused: 0 };
  private startedAt = 0;
  private lastAnswerAt = 0;
  lost = 0;
  late = 0;
  notSent = 0;

  start(now: number): void {
    this.startedAt = now;
    this.lastAnswerAt = now;
    this.interval.endsAt = now + SAMPLE_MS;
  }

  /**
   * @param intendedAt when the request should have started; its wait for a free connection is part of its
   * latency
   * @param wonSeatId 0 if a 201 does not sell a single seat
   */
  answered(status: number, intendedAt: number, now: number, wonSeatId: number): void {
    while (now >= this.interval.endsAt) this.nextInterval();
    const isAccepted = status < 400;
    if (isAccepted) this.interval.accepted++;
    else this.interval.refused++;
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    this.histogram.recordValue(Math.min(HIGHEST_LATENCY_US, Math.max(1, (now - intendedAt) * 1000)));
    this.lastAnswerAt = now;
    if (status === 201 && wonSeatId > 0) this.wins.set(wonSeatId, (this.wins.get(wonSeatId) ?? 0) + 1);
  }

  result(): GeneratorResult {
    return {
      durationMs: this.lastAnswerAt - this.startedAt,
      statuses: Object.fromEntries(this.statuses),
      ...{ lost: this.lost, late: this.late, notSent: this.notSent },
      latency: this.latency(),
      samples: this.samples,
      seatsWon: this.wins.size,
      seatsWonTwice: [...this.wins.values()].filter((times) => times > 1).length,
    };
  }

  private latency(): Latency {
    const { histogram } = this;
    const at = (percentile: number) => histogram.getValueAtPercentile(percentile) / 1000;
    return { p50Ms: at(50), p99Ms: at(99), p999Ms: at(99.9), maxMs: histogram.maxValue / 1000 };
  }

  private nextInterval(): void {
    const { endsAt, accepted, refused } = this.interval;
    this.samples.push({
      atSeconds: (endsAt - this.startedAt) / 1000,
      acceptedPerSecond: (accepted * 1000) / SAMPLE_MS,
      refusedPerSecond: (refused * 1000) / SAMPLE_MS,
    });
    this.interval = { endsAt: endsAt + SAMPLE_MS, accepted: 0, refused: 0 };
  }
}
