import { settlesWithin } from "../runtime/deadline.ts";
import { Loop, type Pause } from "../runtime/loop.ts";
import type { PublisherReport } from "./messages.ts";
import type { ThreadPool } from "./thread-pool.ts";

/**
 * A round ends by itself after half a second, and its calls have time limits. A thread silent for this long
 * is replaced.
 */
const ROUND_DEADLINE_MS = 30_000;
const CLOSE_DEADLINE_MS = 1000;
/** Extra time for a round that is running when the flush ends. */
const LAST_ROUND_MS = 3000;
/**
 * Shortest pause between rounds under load, so that each carries many events in one read and one send
 * (docs/decisions/0009-one-connection-for-the-relay.md).
 */
const GATHER_MS = 50;
/** Pause after a failed round, so that an outage does not cause continuous retries. */
const FAILURE_DELAY_MS = 500;

export interface PublisherLoopOptions {
  pool: ThreadPool;
  pollMs: number;
  onReport(report: PublisherReport): void;
}

/** Keeps the publisher's thread working: a round at each poke, at each poll interval, and while more is waiting. */
export class PublisherLoop {
  private readonly loop: Loop;
  private busy = false;
  /** Whether the sink refused the last round. */
  private failing = false;

  constructor(private readonly options: PublisherLoopOptions) {
    this.loop = new Loop(async () => this.pauseAfter(await this.round()));
  }

  get isBusy(): boolean {
    return this.busy;
  }

  /** Reports a commit, so that it is published soon. */
  poke(): void {
    this.loop.poke();
  }

  /** Publishes what is still waiting, while that works and time remains, then stops. */
  async stop(flushMs: number): Promise<void> {
    const flushed = this.flush(performance.now() + flushMs);
    // A round that hangs on a silent sink occupies the thread and ends with it; it can only repeat events correctly.
    if (await settlesWithin(flushed, flushMs + LAST_ROUND_MS))
      await this.options.pool.run("close", CLOSE_DEADLINE_MS).catch(() => undefined);
  }

  private async flush(deadline: number): Promise<void> {
    await this.loop.stop();
    while (!this.failing && performance.now() < deadline) {
      const report = await this.round();
      if (!report?.active || (report.publishedCount === 0 && !report.more)) return;
    }
  }

  private pauseAfter(report: PublisherReport | undefined): Pause {
    const { pollMs } = this.options;
    if (!report || report.failureCount > 0) return { restMs: FAILURE_DELAY_MS };
    // Another process publishes, so commits are no reason to try for the leadership more often.
    if (!report.active) return { restMs: pollMs };
    if (this.loop.isPoked) return { restMs: GATHER_MS };
    return { pauseMs: report.more ? 0 : pollMs };
  }

  private async round(): Promise<PublisherReport | undefined> {
    this.busy = true;
    try {
      const report = await this.options.pool.run<PublisherReport>("round", ROUND_DEADLINE_MS);
      this.failing = report.failureCount > 0;
      this.options.onReport(report);
      return report;
    } catch {
      return undefined;
    } finally {
      this.busy = false;
    }
  }
}
