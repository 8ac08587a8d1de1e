import type { Logger } from "../../telemetry/log.ts";

/** Each stands until a later look no longer sees it, and is looked at in every round; more are not counted. */
export const FINDINGS_LIMIT = 100;
/** New findings of one round that have a line of their own; a damage that is wide is told of by its count. */
const LINES_LIMIT = 10;

/** A contradiction: where it is, and what differs. */
export interface Finding {
  /** The same place keeps its name from look to look. */
  place: string;
  seatId?: number;
  what: string;
}

/**
 * What stands of one part now. A finding is told of once, when it is new, and its end when none is left: so an
 * alert on the count begins and ends with the damage.
 */
export class Standing {
  private places = new Set<string>();

  constructor(
    private readonly part: string,
    private readonly log: Logger,
  ) {}

  get count(): number {
    return this.places.size;
  }

  /** @param found everything that a look has seen, findings from before that are still there included. */
  replace(found: Finding[]): void {
    const { part, log } = this;
    const before = this.places;
    const fresh = found.filter(({ place }) => !before.has(place));
    const kept = [...found.filter(({ place }) => before.has(place)), ...fresh].slice(0, FINDINGS_LIMIT);
    this.places = new Set(kept.map(({ place }) => place));
    for (const { place, seatId, what } of fresh.slice(0, LINES_LIMIT)) {
      log.warn({ part, ...(seatId === undefined ? { place } : { seatId }) }, `drift: ${what}`);
    }
    if (fresh.length > LINES_LIMIT) {
      log.warn({ part, count: fresh.length - LINES_LIMIT }, "drift: more was found in the same round");
    }
    if (before.size > 0 && this.count === 0) log.info({ part }, "the drift is gone");
  }
}
