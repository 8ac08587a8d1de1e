import { setTimeout as delay } from "node:timers/promises";
import type { Auditor } from "./auditor.ts";

/** What a round under way at the end still gets. */
const LAST_ROUND_MS = 1000;

/** After a round that took long, where everything is slow, this many times as long is rest. */
const REST_FACTOR = 20;
const REST_LIMIT_MS = 60_000;

export interface AuditorLoopOptions {
  pauseMs: number;
  /** Whether it would be in the way now, or nobody would answer: then the round is left out. */
  isUnwelcome(): boolean;
}

/** Keeps the auditor at work, a round after each pause; the first comes after one, when the engine has begun to sell. */
export class AuditorLoop {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isStopping = false;
  private current: Promise<void> = Promise.resolve();

  constructor(
    private readonly auditor: Pick<Auditor, "round">,
    private readonly options: AuditorLoopOptions,
  ) {
    this.plan(options.pauseMs);
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    clearTimeout(this.timer);
    await Promise.race([this.current, delay(LAST_ROUND_MS, undefined, { ref: false })]);
  }

  private plan(pauseMs: number): void {
    if (this.isStopping) return;
    this.timer = setTimeout(() => {
      this.current = this.round();
    }, pauseMs);
  }

  private async round(): Promise<void> {
    const { pauseMs, isUnwelcome } = this.options;
    const startedAt = performance.now();
    if (!isUnwelcome()) await this.auditor.round();
    const restMs = Math.min(REST_LIMIT_MS, REST_FACTOR * (performance.now() - startedAt));
    this.plan(Math.max(pauseMs, restMs));
  }
}
