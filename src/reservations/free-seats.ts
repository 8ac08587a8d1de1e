import type { Section } from "../venue/catalogue.ts";

/** The least time from one look to the next: searches cost the database four looks a second at most. */
const LOOK_INTERVAL_MS = 250;
/** The longest wait for a look, including the wait for its turn. */
const DEADLINE_MS = 1000;
/** How many requests may wait for looks at once. */
const WAITING_LIMIT = 1000;

interface Turn {
  /** By id. */
  sections: Map<number, Section>;
  done: PromiseWithResolvers<boolean>;
}

/**
 * Asks the database what is free when memory knows of nothing, so that nobody is told "sold out" by a memory that is out
 * of date. One look is under way at a time, for all events. Requests that arrive before the next look begins share it: it
 * begins after all of them have arrived, so its result is true for each.
 *
 * States: idle → (a request asks) → pausing, until the last look is 250 ms old → looking → pausing if another request has
 * asked meanwhile, otherwise idle.
 */
export class FreeSeats {
  private next: Turn | undefined;
  private isAtWork = false;
  private waiting = 0;
  private lookedAt = Number.NEGATIVE_INFINITY;

  /** @param look brings into memory what is free in these sections; rejects when the database cannot be asked. */
  constructor(private readonly look: (sections: Section[]) => Promise<void>) {}

  /**
   * Resolves when memory has what the database said after this call; to false if that takes too long.
   * @throws when the database cannot be asked.
   */
  async refresh(sections: Section[]): Promise<boolean> {
    if (this.waiting >= WAITING_LIMIT) return false;
    this.next ??= { sections: new Map(), done: Promise.withResolvers() };
    const { next } = this;
    for (const section of sections) next.sections.set(section.id, section);
    if (!this.isAtWork) void this.work();
    const isLate = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => isLate.resolve(false), DEADLINE_MS);
    this.waiting++;
    try {
      return await Promise.race([next.done.promise, isLate.promise]);
    } finally {
      this.waiting--;
      clearTimeout(timer);
    }
  }

  private async work(): Promise<void> {
    this.isAtWork = true;
    while (this.next) {
      const pauseMs = this.lookedAt + LOOK_INTERVAL_MS - performance.now();
      if (pauseMs > 0) await Bun.sleep(pauseMs);
      const turn: Turn = this.next;
      this.next = undefined;
      this.lookedAt = performance.now();
      // If all waiting requests have given up, nobody else handles a failure.
      turn.done.promise.catch(() => undefined);
      try {
        await this.look([...turn.sections.values()]);
        turn.done.resolve(true);
      } catch (error) {
        turn.done.reject(error);
      }
    }
    this.isAtWork = false;
  }
}
