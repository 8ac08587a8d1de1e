import type { Logger } from "../../telemetry/log.ts";

/** Each finding stays until a later look no longer sees it, and is checked in every round. More are not counted. */
export const FINDINGS_LIMIT = 100;
/** Logs at most this many new findings per round, then only a count. */
const LINES_LIMIT = 10;

/** One drift, which is a contradiction: where it is, and what differs. */
export interface Drift {
  /** The name of the place, the same in every look. */
  place: string;
  seatId?: number;
  what: string;
}

/**
 * The open findings of one part. Each is logged once, when it is new, and one line says when none is left. An
 * alert on the count therefore starts and ends with the damage.
 */
export class OpenFindings {
  private places = new Set<string>();

  constructor(
    private readonly part: string,
    private readonly log: Logger,
  ) {}

  get count(): number {
    return this.places.size;
  }

  /** @param found everything that a look has seen, including earlier findings that still exist */
  replace(found: Drift[]): void {
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
