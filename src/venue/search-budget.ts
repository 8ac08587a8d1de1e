/**
 * How many seats the searches of one request may look at, in all wishes and attempts together: 10 to 15 ms of the main
 * thread (see docs/operations/request-costs.md), for which all other requests have to wait.
 */
const SEARCH_LIMIT_STEPS = 500_000;

/** How many looks at seats are one unit of a rate limit, which is a millisecond. */
export const SEARCH_STEPS_PER_UNIT = 50_000;

/** Counts what one request's searches look at, and decides whether they may go on. A step is one look at one seat. */
export class SearchBudget {
  private steps = 0;

  constructor(private readonly limitSteps = SEARCH_LIMIT_STEPS) {}

  get spentSteps(): number {
    return this.steps;
  }

  get isSpent(): boolean {
    return this.steps >= this.limitSteps;
  }

  /** Counts steps that are about to be taken; false if the budget was spent before. */
  take(steps: number): boolean {
    if (this.isSpent) return false;
    this.steps += steps;
    return true;
  }
}
