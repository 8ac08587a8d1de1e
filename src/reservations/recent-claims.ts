/** What was claimed is remembered for so long, and the newest of it only. */
const LIFETIME_MS = 10_000;
const CLAIM_LIMIT = 10_000;

/** Keys or buyers that something was heard of a moment ago: a bounded hint, forgotten by itself. */
export class RecentClaims {
  /** Until when, the oldest first. */
  private readonly untilMs = new Map<string, number>();

  constructor(private readonly nowMs: () => number = () => performance.now()) {}

  has(claim: string): boolean {
    return this.nowMs() < (this.untilMs.get(claim) ?? 0);
  }

  add(claim: string): void {
    this.untilMs.delete(claim);
    this.untilMs.set(claim, this.nowMs() + LIFETIME_MS);
    const [oldest] = this.untilMs.size > CLAIM_LIMIT ? this.untilMs.keys() : [];
    if (oldest !== undefined) this.untilMs.delete(oldest);
  }
}
