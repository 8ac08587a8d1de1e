import { setTimeout as delay } from "node:timers/promises";
import type { PublisherReport } from "./messages.ts";
import type { ThreadPool } from "./thread-pool.ts";

/** A round ends by itself after half a second and its calls have time limits; a thread silent for longer is replaced. */
const ROUND_DEADLINE_MS = 30_000;
const CLOSE_DEADLINE_MS = 1000;
/** What a round under way at the end of the flush still gets. */
const LAST_ROUND_MS = 3000;
/**
 * Under load rounds follow each other no closer, so that each carries many events for one read and one send:
 * at 20 ms all processes together took a tenth more CPU time (185 instead of 162 µs an accepted seat).
 */
const GATHER_MS = 50;
/** After a failed round, so that an outage is not asked about without pause. */
const FAILURE_DELAY_MS = 500;

export interface PublisherLoopOptions {
  pool: ThreadPool;
  pollMs: number;
  onReport(report: PublisherReport): void;
}

/** Keeps the publisher's thread at work: a round at each poke, at each poll interval, and while more is waiting. */
export class PublisherLoop {
  private wakeFromPause: (() => void) | undefined;
  private wakeByPoke: (() => void) | undefined;
  private poked = false;
  private stopping = false;
  private busy = false;
  /** Whether the sink refused the last round. */
  private failing = false;
  private readonly ended: Promise<void>;

  constructor(private readonly options: PublisherLoopOptions) {
    this.ended = this.loop();
  }

  get isBusy(): boolean {
    return this.busy;
  }

  /** Something was committed: publish soon. */
  poke(): void {
    this.poked = true;
    this.wakeByPoke?.();
  }

  /** Publishes what is still waiting, as long as that works and the time allows, then lets go. */
  async stop(flushMs: number): Promise<void> {
    this.stopping = true;
    this.wakeFromPause?.();
    let isOver = false;
    const timer = setTimeout(() => {
      isOver = true;
    }, flushMs);
    const hung = delay(flushMs + LAST_ROUND_MS, "hung" as const, { ref: false });
    const flushed = await Promise.race([hung, this.flush(() => isOver)]);
    clearTimeout(timer);
    // A round that hangs on a silent sink has the thread: it ends with the thread, and repeats nothing wrong.
    if (flushed !== "hung") await this.options.pool.run("close", CLOSE_DEADLINE_MS).catch(() => undefined);
  }

  private async flush(isOver: () => boolean): Promise<void> {
    await this.ended;
    while (!this.failing && !isOver()) {
      const report = await this.round();
      if (!report?.active || (report.publishedCount === 0 && !report.more)) return;
    }
  }

  private async loop(): Promise<void> {
    while (!this.stopping) {
      this.poked = false;
      const report = await this.round();
      if (this.stopping) return;
      if (!report || report.failureCount > 0) await this.pause(FAILURE_DELAY_MS);
      // Another process publishes: changes are no reason to ask for its place more often.
      else if (!report.active) await this.pause(this.options.pollMs);
      else if (this.poked) await this.pause(GATHER_MS);
      else if (!report.more) await this.pause(this.options.pollMs, { untilPoked: true });
    }
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

  private async pause(ms: number, { untilPoked = false } = {}): Promise<void> {
    const woken = Promise.withResolvers<void>();
    const timer = setTimeout(woken.resolve, ms);
    this.wakeFromPause = woken.resolve;
    if (untilPoked) this.wakeByPoke = woken.resolve;
    await woken.promise;
    clearTimeout(timer);
    this.wakeFromPause = undefined;
    this.wakeByPoke = undefined;
  }
}
