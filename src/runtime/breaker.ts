export interface BreakerOptions {
  /** Failures in a row that open the breaker. */
  failureLimit?: number;
  /** How long an open breaker admits nobody after a failure. */
  retryMs?: number;
  /** Milliseconds of a clock that only goes forward. */
  now?(): number;
}

/**
 * Decides whether something that may fail is worth a call.
 *
 * - closed: calls are admitted. Becomes open after `failureLimit` failures in a row.
 * - open: calls are refused. Becomes half-open `retryMs` after the last failure.
 * - half-open: calls are admitted. Becomes closed with a success, open with a failure.
 */
export class Breaker {
  private failures = 0;
  private failedAt = Number.NEGATIVE_INFINITY;
  private readonly failureLimit: number;
  private readonly retryMs: number;
  private readonly now: () => number;

  constructor({ failureLimit = 1, retryMs = 0, now = () => performance.now() }: BreakerOptions = {}) {
    this.failureLimit = failureLimit;
    this.retryMs = retryMs;
    this.now = now;
  }

  /** Failures since the last success. */
  get failureCount(): number {
    return this.failures;
  }

  /** Whether it is open or half-open. */
  get isOpen(): boolean {
    return this.failures >= this.failureLimit;
  }

  get admits(): boolean {
    return !this.isOpen || this.now() - this.failedAt >= this.retryMs;
  }

  fail(): void {
    this.failures++;
    this.failedAt = this.now();
  }

  succeed(): void {
    this.failures = 0;
  }
}
