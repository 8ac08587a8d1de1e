import { Loop } from "../../runtime/loop.ts";
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
  private readonly loop: Loop;

  constructor(auditor: Pick<Auditor, "round">, { pauseMs, isUnwelcome }: AuditorLoopOptions) {
    this.loop = new Loop(async () => {
      const startedAt = performance.now();
      if (!isUnwelcome()) await auditor.round();
      const restMs = Math.min(REST_LIMIT_MS, REST_FACTOR * (performance.now() - startedAt));
      return Math.max(pauseMs, restMs);
    }, pauseMs);
  }

  async stop(): Promise<void> {
    await this.loop.stop(LAST_ROUND_MS);
  }
}
