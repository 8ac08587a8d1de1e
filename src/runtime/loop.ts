import { settlesWithin } from "./deadline.ts";

/** The time until the next round: first the rest, which nothing shortens, then the pause, which a poke ends. */
export interface Pause {
  restMs?: number;
  pauseMs?: number;
}

/**
 * Repeats a round, one at a time, with a pause that each round chooses.
 *
 * - round: ends when its promise resolves.
 * - rest: ends after `restMs`. A poke is remembered until its end.
 * - pause: ends after `pauseMs`, or at once if somebody pokes or has poked since the round began.
 * - stopped: entered by `stop` from any other state, after the round under way.
 */
export class Loop {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private current: Promise<void> | undefined;
  private hasPoke = false;
  private isPausing = false;
  private isStopped = false;

  /**
   * @param round does not reject. It returns the time until the next round; a number is a pause.
   * @param firstPauseMs the pause before the first round. Without it, the first round begins in the constructor.
   */
  constructor(
    private readonly round: () => Promise<Pause | number>,
    firstPauseMs?: number,
  ) {
    if (firstPauseMs === undefined) this.begin();
    else this.pause(firstPauseMs);
  }

  /** Whether somebody has poked since the round began. */
  get isPoked(): boolean {
    return this.hasPoke;
  }

  /** Begins the next round now, or directly after the round or rest under way. */
  poke(): void {
    this.hasPoke = true;
    if (this.isPausing) this.begin();
  }

  /**
   * Begins no further round, and waits for the round under way.
   * @returns false if that round takes longer than `limitMs`; without a limit there is no end to the wait.
   */
  async stop(limitMs?: number): Promise<boolean> {
    this.isStopped = true;
    this.isPausing = false;
    clearTimeout(this.timer);
    if (this.current && limitMs !== undefined) return settlesWithin(this.current, limitMs);
    await this.current;
    return true;
  }

  private begin(): void {
    clearTimeout(this.timer);
    this.isPausing = false;
    this.hasPoke = false;
    this.current = this.round().then((next) => {
      this.current = undefined;
      if (this.isStopped) return;
      const { restMs = 0, pauseMs = 0 } = typeof next === "number" ? { pauseMs: next } : next;
      if (restMs === 0) this.pause(pauseMs);
      else this.timer = setTimeout(() => this.pause(pauseMs), restMs);
    });
  }

  private pause(pauseMs: number): void {
    if (this.hasPoke || pauseMs === 0) {
      this.begin();
      return;
    }
    this.isPausing = true;
    this.timer = setTimeout(() => this.begin(), pauseMs);
  }
}
