import { RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import type { RedisAddress } from "./connect.ts";
import { RedisLink } from "./link.ts";

/** Window of the probe's own counter. Its key expires with the window. */
const PROBE_WINDOW_SECONDS = 1;

export interface SharedCountsOptions {
  redis: RedisAddress;
  /** Separates the counts of engines on other databases. */
  keyPrefix: string;
  timeoutMs: number;
  /** Called when counting in Redis stops, with the reason if known, and when it resumes. */
  onDegraded(degraded: boolean, reason?: string): void;
}

/** The state of a subject in its window. */
export interface LimitState {
  consumedPoints: number;
  msBeforeNext: number;
}

/**
 * Counts a request of this many units. Resolves to its subject's state over all processes, or to undefined if
 * Redis is unavailable.
 */
export type SharedCount = (subject: string, units: number) => Promise<LimitState | undefined>;

/** A request waiting for Redis to count it. */
interface Uncounted {
  units: number;
  answer(state: LimitState | undefined): void;
}

/**
 * Counts requests of all processes together, in Redis. It is in use while its link is up. Otherwise, and at
 * the start until Redis was reached, requests do not wait for it.
 */
export class SharedCounts {
  private readonly link: RedisLink;

  constructor(private readonly options: SharedCountsOptions) {
    const { redis: address, timeoutMs, onDegraded } = options;
    let probe: RateLimiterRedis | undefined;
    this.link = new RedisLink({
      address,
      timeoutMs,
      probe: () => {
        probe ??= this.limiter("probe", Number.MAX_SAFE_INTEGER, PROBE_WINDOW_SECONDS);
        return probe.consume("");
      },
      onChange: (state) => onDegraded(state !== "up", this.link.reason),
    });
    onDegraded(true);
  }

  get degraded(): boolean {
    return this.link.state !== "up";
  }

  /**
   * Returns the counter of a policy: `points` requests per subject and window. While a command for a subject
   * is in progress, further requests of that subject gather, and the next command counts them all. A command
   * costs the main thread 30 µs, and one ticket shop's key may send thousands of requests a second.
   */
  counter(policy: string, points: number, windowSeconds: number): SharedCount {
    const limiter = this.limiter(policy, points, windowSeconds);
    /** Waiting requests of each subject with a command in progress. */
    const gathered = new Map<string, Uncounted[]>();
    const begin = async (subject: string, requests: Uncounted[]) => {
      gathered.set(subject, []);
      let later = requests.reduce((sum, { units }) => sum + units, 0);
      const last = await this.consume(limiter, subject, later);
      for (const { units, answer } of requests) {
        later -= units;
        answer(last && { consumedPoints: last.consumedPoints - later, msBeforeNext: last.msBeforeNext });
      }
      const next = gathered.get(subject) ?? [];
      gathered.delete(subject);
      if (next.length > 0) void begin(subject, next);
    };
    return (subject, units) => {
      const { promise, resolve } = Promise.withResolvers<LimitState | undefined>();
      const waiting = gathered.get(subject);
      const request = { units, answer: resolve };
      if (waiting) waiting.push(request);
      else void begin(subject, [request]);
      return promise;
    };
  }

  close(): void {
    this.link.close();
  }

  private limiter(name: string, points: number, windowSeconds: number): RateLimiterRedis {
    return new RateLimiterRedis({
      storeClient: this.link.redis,
      keyPrefix: `${this.options.keyPrefix}:limit:${name}`,
      points,
      duration: windowSeconds,
    });
  }

  /** Never rejects; resolves to undefined if Redis refuses or is late. */
  private async consume(
    limiter: RateLimiterRedis,
    subject: string,
    units: number,
  ): Promise<LimitState | undefined> {
    if (this.degraded) return undefined;
    try {
      return await limiter.consume(subject, units);
    } catch (refusal) {
      if (refusal instanceof RateLimiterRes) return refusal;
      this.link.fail(refusal instanceof Error ? refusal : new Error(String(refusal)));
      return undefined;
    }
  }
}
