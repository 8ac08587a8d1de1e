import type { Section } from "../catalogue/catalogue.ts";

/** No look begins sooner after the one before: four a second are what searches cost the database, whatever is asked. */
const LOOK_INTERVAL_MS = 250;
/** Longest wait for a look, its turn included. */
const DEADLINE_MS = 1000;
/** Who wait for looks at once. */
const WAITING_LIMIT = 1000;

interface Turn {
  /** By id. */
  sections: Map<number, Section>;
  done: PromiseWithResolvers<boolean>;
}

/**
 * Asks the database what is free, for requests whose memory knows of nothing: nobody is told "sold out" by a
 * memory that may be old. One look is under way at a time, for all events. Who comes meanwhile, or before the next
 * may begin, shares the next: it begins after they came, so that what it says is true for each of them.
 *
 * States: idle → (somebody asks) → pausing, until the last look is 250 ms old → looking → pausing, when somebody
 * has come meanwhile, or idle.
 */
export class FreeSeats {
  private next: Turn | undefined;
  private isAtWork = false;
  private waiting = 0;
  private lookedAt = Number.NEGATIVE_INFINITY;

  /** @param look brings into memory what is free in these sections; rejects when the database cannot be asked. */
  constructor(private readonly look: (sections: Section[]) => Promise<void>) {}

  /**
   * Resolves when memory has what the database said after this call; false when that is not to be had in time.
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
      // Where nobody waits any longer, nobody hears of its failure either.
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
