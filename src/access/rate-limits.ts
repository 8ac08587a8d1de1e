import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import type { LimitState, SharedCount } from "../redis/rate-limits.ts";

/**
 * Subjects counted separately in a window. Further ones share buckets, so that a flood of addresses cannot
 * fill memory.
 */
const SUBJECT_LIMIT = 100_000;
const SHARED_BUCKETS = 1024;

/**
 * The subjects of the limits: an anonymous client's address, an API key, or either of them on the contract's
 * reserve route.
 */
export type PolicyName = "address" | "key" | "reserve";

/** The state of a subject after a request. */
export interface Count {
  policy: PolicyName;
  limit: number;
  windowSeconds: number;
  remaining: number;
  /** Time until its window ends. */
  resetSeconds: number;
  isOver: boolean;
}

export interface RateLimitsOptions {
  windowSeconds: number;
  /** Requests per subject and window; 0 means no limit. */
  limits: Record<PolicyName, number>;
  /** Counts of all processes together; without it each process counts for itself. */
  shared?: { counter(policy: PolicyName, points: number, windowSeconds: number): SharedCount };
}

type Counter = (subject: string, units: number) => Promise<Count>;

/**
 * Rate limits with a fixed window per subject, which starts with its first request. Every request is counted
 * in memory first: a subject over the limit by this process alone is refused without asking Redis, so a flood
 * costs Redis nothing. Memory also has counts already when Redis becomes unavailable.
 */
export class RateLimits {
  private readonly counters: Record<PolicyName, Counter | undefined>;

  constructor(private readonly options: RateLimitsOptions) {
    this.counters = {
      address: this.counter("address"),
      key: this.counter("key"),
      reserve: this.counter("reserve"),
    };
  }

  has(policy: PolicyName): boolean {
    return this.counters[policy] !== undefined;
  }

  /**
   * Counts a request. `subject` is called only if the policy is on.
   * @param units the cost of the request; 1 for up to a millisecond of work
   */
  count(policy: PolicyName, subject: () => string, units = 1): Promise<Count> | undefined {
    return this.counters[policy]?.(subject(), units);
  }

  private counter(policy: PolicyName): Counter | undefined {
    const { windowSeconds, shared, limits } = this.options;
    const limit = limits[policy];
    if (limit === 0) return undefined;
    const memory = new RateLimiterMemory({ points: limit, duration: windowSeconds, keyPrefix: "" });
    const ask = shared?.counter(policy, limit, windowSeconds);
    const subjects = new Subjects(windowSeconds * 1000);
    const countOf = ({ consumedPoints, msBeforeNext }: LimitState): Count => ({
      policy,
      limit,
      windowSeconds,
      remaining: Math.max(0, limit - consumedPoints),
      resetSeconds: Math.max(1, Math.ceil(msBeforeNext / 1000)),
      isOver: consumedPoints > limit,
    });
    return async (name, units) => {
      const subject = subjects.bounded(name);
      const own = await outcomeOf(memory.consume(subject, units));
      if (!ask || own.consumedPoints > limit) return countOf(own);
      const all = await ask(subject, units);
      if (!all) return countOf(own);
      if (all.consumedPoints > limit) await memory.block(subject, Math.max(1, all.msBeforeNext) / 1000);
      return countOf(all);
    };
  }
}

/** Returns the result of `consume`, which throws the same type over the limit. */
async function outcomeOf(consumed: Promise<RateLimiterRes>): Promise<RateLimiterRes> {
  try {
    return await consumed;
  } catch (refusal) {
    if (refusal instanceof RateLimiterRes) return refusal;
    throw refusal;
  }
}

/** Bounds the number of different subjects in a window. */
class Subjects {
  private seen = new Set<string>();
  private startedAt = performance.now();

  constructor(private readonly windowMs: number) {}

  bounded(subject: string): string {
    const now = performance.now();
    if (now - this.startedAt >= this.windowMs) {
      this.seen = new Set();
      this.startedAt = now;
    }
    if (this.seen.has(subject)) return subject;
    if (this.seen.size >= SUBJECT_LIMIT) return `shared-${Bun.hash(subject) % BigInt(SHARED_BUCKETS)}`;
    this.seen.add(subject);
    return subject;
  }
}

/** Returns the fields of draft-ietf-httpapi-ratelimit-headers-11. */
export function rateLimitHeaders(count: Count): Record<string, string> {
  return {
    ratelimit: `"${count.policy}";r=${count.remaining};t=${count.resetSeconds}`,
    "ratelimit-policy": `"${count.policy}";q=${count.limit};w=${count.windowSeconds}`,
  };
}
