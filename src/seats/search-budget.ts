/**
 * Seats that the searches of one request may look at, all wishes and attempts together: 10 to 15 ms of the main
 * thread (see docs/operations/request-costs.md), which everybody else's request has to wait for.
 */
const SEARCH_LIMIT_STEPS = 500_000;

/** Looks at seats that count as one unit of a rate limit, which is a millisecond. */
export const SEARCH_STEPS_PER_UNIT = 50_000;

/** What one request's searches have looked at, and whether they may go on. A step is one look at one seat. */
export class SearchBudget {
  private steps = 0;

  constructor(private readonly limitSteps = SEARCH_LIMIT_STEPS) {}

  get spentSteps(): number {
    return this.steps;
  }

  get isSpent(): boolean {
    return this.steps >= this.limitSteps;
  }

  /** Counts what is about to be done; false where that must not be done any more. */
  take(steps: number): boolean {
    if (this.isSpent) return false;
    this.steps += steps;
    return true;
  }
}
