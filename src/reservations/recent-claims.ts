/** How long a claim is remembered, and how many are. Beyond the limit the oldest is forgotten. */
const LIFETIME_MS = 10_000;
const CLAIM_LIMIT = 10_000;

/** Remembers keys or buyers for a moment. The memory is only a hint. */
export class RecentClaims {
  /** The time until which each claim is remembered; the oldest comes first. */
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
