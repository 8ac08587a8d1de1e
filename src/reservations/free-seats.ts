import { settlesWithin } from "../runtime/deadline.ts";
import { SharedFlight } from "../runtime/shared-flight.ts";
import type { Section } from "../venue/catalogue.ts";

/** The least time from one look to the next: searches cost the database four looks a second at most. */
const LOOK_INTERVAL_MS = 250;
/** The longest wait for a look, including the wait for its turn. */
const DEADLINE_MS = 1000;
/** How many requests may wait for looks at once. */
const WAITING_LIMIT = 1000;

/**
 * Asks the database what is free when memory knows of nothing, so that nobody is told "sold out" by a memory that is out
 * of date. One look is under way at a time, for all events. Requests that arrive before the next look begins share it: it
 * begins after all of them have arrived, so its result is true for each.
 *
 * States: idle → (a request asks) → pausing, until the last look is 250 ms old → looking → pausing if another request has
 * asked meanwhile, otherwise idle.
 */
export class FreeSeats {
  /** The sections that the next look is for, by id. */
  private wanted = new Map<number, Section>();
  private waiting = 0;
  private readonly looks: SharedFlight;

  /** @param look brings into memory what is free in these sections; rejects when the database cannot be asked. */
  constructor(look: (sections: Section[]) => Promise<void>) {
    this.looks = new SharedFlight(() => {
      const sections = [...this.wanted.values()];
      this.wanted.clear();
      return look(sections);
    }, LOOK_INTERVAL_MS);
  }

  /**
   * Resolves when memory has what the database said after this call; to false if that takes too long.
   * @throws when the database cannot be asked.
   */
  async refresh(sections: Section[]): Promise<boolean> {
    if (this.waiting >= WAITING_LIMIT) return false;
    for (const section of sections) this.wanted.set(section.id, section);
    this.waiting++;
    try {
      const looked = this.looks.next();
      if (!(await settlesWithin(looked, DEADLINE_MS))) return false;
      await looked;
      return true;
    } finally {
      this.waiting--;
    }
  }
}
