/**
 * Looks at seats that one request's searches may make, over all wishes and attempts. They take 10 to 15 ms of
 * the main thread, and all other requests wait meanwhile (docs/operations/request-costs.md).
 */
const SEARCH_LIMIT_STEPS = 500_000;

/** Looks at seats per unit of a rate limit; one unit is about a millisecond. */
export const SEARCH_STEPS_PER_UNIT = 50_000;

/**
 * Counts the looks at seats of one request's searches and decides whether they may continue. A step is one
 * look at one seat.
 */
export class SearchBudget {
  private steps = 0;

  constructor(private readonly limitSteps = SEARCH_LIMIT_STEPS) {}

  get spentSteps(): number {
    return this.steps;
  }

  get isSpent(): boolean {
    return this.steps >= this.limitSteps;
  }

  /** Counts steps that are about to be taken; returns false if the budget was already spent. */
  take(steps: number): boolean {
    if (this.isSpent) return false;
    this.steps += steps;
    return true;
  }
}
