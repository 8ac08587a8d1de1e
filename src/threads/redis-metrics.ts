import type { LocksReport } from "../redis/seat-locks.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { PartState } from "../telemetry/part-state.ts";

export interface RedisMetricsOptions {
  metrics: Metrics;
  log: Logger;
  /** The number of threads that lock seats. The state of Redis is known when each of them has reported. */
  threadCount: number;
}

/** Combines the threads' reports on Redis into one state, and logs a line when it changes. */
export class RedisMetrics {
  private readonly reports = new Map<string, LocksReport>();
  private current: PartState = "unknown";
  /** By number, from 1; only if there are several. */
  private readonly mastersDown = new Set<number>();

  constructor(private readonly options: RedisMetricsOptions) {}

  get state(): PartState {
    return this.current;
  }

  reported(thread: string, report: LocksReport): void {
    this.options.metrics.lockDegraded.set({ thread }, report.state === "up" ? 0 : 1);
    this.reports.set(thread, report);
    this.countMasters();
    const states = [...this.reports.values()].map(({ state }) => state);
    const isComplete = states.length >= this.options.threadCount;
    if (states.includes("down")) this.turn("down");
    else if (isComplete && states.every((state) => state === "up")) this.turn("up");
  }

  private turn(state: PartState): void {
    const before = this.current;
    if (state === before) return;
    this.current = state;
    const { log } = this.options;
    if (state === "down") {
      const reason = this.reasonOf(() => true);
      log.warn({ reason }, "Redis is unavailable: selling continues, guarded by the database alone");
    } else if (before === "down") log.info("Redis is available again: seats are locked again");
  }

  /** Reports each master, because with several masters the loss of one has no other sign. */
  private countMasters(): void {
    const { metrics, log } = this.options;
    const reports = [...this.reports.values()];
    const count = reports[0]?.masters.length ?? 0;
    for (let number = 1; number <= count; number++) {
      const states = reports.map(({ masters }) => masters[number - 1]?.state);
      const isDown = states.includes("down");
      if (!isDown && states.some((state) => state !== "up")) continue;
      metrics.lockMasterUp.set({ master: String(number) }, isDown ? 0 : 1);
      if (count === 1 || isDown === this.mastersDown.has(number)) continue;
      const fields = { master: number, of: count };
      if (isDown) {
        this.mastersDown.add(number);
        const reason = this.reasonOf((index) => index === number - 1);
        log.warn({ ...fields, reason }, "a Redis master is unavailable");
      } else {
        this.mastersDown.delete(number);
        log.info(fields, "a Redis master is available again");
      }
    }
  }

  private reasonOf(isAsked: (index: number) => boolean): string | undefined {
    const masters = [...this.reports.values()].flatMap((report) =>
      report.masters.filter((_, index) => isAsked(index)),
    );
    return masters.find(({ reason }) => reason !== undefined)?.reason?.slice(0, REASON_LIMIT_CHARACTERS);
  }
}

/** Redis's message may be longer, for example the script that failed. */
const REASON_LIMIT_CHARACTERS = 200;
