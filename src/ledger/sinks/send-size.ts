/** Sends grow again after this long without a refusal, as the topic's limit may have been raised. */
const GROW_AFTER_MS = 60_000;

/**
 * The number of events per send. It is halved, down to one, when the topic refuses a send as too large, and
 * doubled again after a minute without a refusal.
 */
export class SendSize {
  private size: number;
  private changedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly limit: number) {
    this.size = limit;
  }

  get events(): number {
    return this.size;
  }

  /** @param count number of events in the refused send, at least two */
  refused(count: number): void {
    this.size = Math.max(1, Math.ceil(count / 2));
    this.changedAt = performance.now();
  }

  accepted(): void {
    if (this.size === this.limit || performance.now() - this.changedAt < GROW_AFTER_MS) return;
    this.size = Math.min(this.limit, 2 * this.size);
    this.changedAt = performance.now();
  }
}
