import { settlesWithin } from "../runtime/deadline.ts";
import { SharedFlight } from "../runtime/shared-flight.ts";
import type { Section } from "../venue/catalogue.ts";

/** The shortest time between two looks. Searches cost the database four looks a second at most. */
const LOOK_INTERVAL_MS = 250;
/** The longest wait for a look, including the wait for its turn. */
const DEADLINE_MS = 1000;
/** Maximum number of requests that wait for looks at once. */
const WAITING_LIMIT = 1000;

/**
 * Asks the database which seats are free when memory knows of none, so that outdated memory never causes a "sold out".
 * One look runs at a time, for all events. Requests that arrive before the next look begins share it. It begins after
 * all of them have arrived, so its result is true for each.
 *
 * States:
 * - idle: a request starts the pause.
 * - pausing: lasts until the last look is 250 ms old, then the next look begins.
 * - looking: followed by pausing if another request has asked meanwhile, otherwise by idle.
 */
export class FreeSeats {
  /** The sections that the next look is for, by id. */
  private wanted = new Map<number, Section>();
  private waiting = 0;
  private readonly looks: SharedFlight;

  /** @param look learns which seats of these sections are free; rejects if the database cannot be asked */
  constructor(look: (sections: Section[]) => Promise<void>) {
    this.looks = new SharedFlight(() => {
      const sections = [...this.wanted.values()];
      this.wanted.clear();
      return look(sections);
    }, LOOK_INTERVAL_MS);
  }

  /**
   * Resolves to true when memory has what the database said after this call, or to false if that takes too long.
   * @throws if the database cannot be asked.
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
