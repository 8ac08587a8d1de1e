import { Loop } from "../../runtime/loop.ts";
import type { Auditor } from "./auditor.ts";

/** Extra time for a round that is running when the loop stops. */
const LAST_ROUND_MS = 1000;

/** Rests this many times as long as the last round took. Rounds are slow when everything is slow. */
const REST_FACTOR = 20;
const REST_LIMIT_MS = 60_000;

export interface AuditorLoopOptions {
  pauseMs: number;
  /** Returns whether a round would be in the way now, or nobody would answer; it is then skipped. */
  isUnwelcome(): boolean;
}

/**
 * Keeps the auditor working, a round after each pause. The first comes after a pause too, when the engine has
 * begun to sell.
 */
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
