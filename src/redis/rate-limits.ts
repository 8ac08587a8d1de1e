import { RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import type { RedisAddress } from "./connect.ts";
import { RedisLink } from "./link.ts";

/** A probe counts one request of a subject of its own; the key expires with its window. */
const PROBE_WINDOW_SECONDS = 1;

export interface SharedCountsOptions {
  redis: RedisAddress;
  /** Keeps the counts of engines on other databases apart. */
  keyPrefix: string;
  timeoutMs: number;
  /** Called when counting in Redis is given up, with the reason if there is one, and when it is taken up again. */
  onDegraded(degraded: boolean, reason?: string): void;
}

/** Where a subject stands in its window. */
export interface Standing {
  consumedPoints: number;
  msBeforeNext: number;
}

/**
 * Counts a request of that many units. Resolves to where its subject then stands, over all processes; to undefined when
 * Redis cannot be asked.
 */
export type SharedCount = (subject: string, units: number) => Promise<Standing | undefined>;

/** A request whose count waits for Redis. */
interface Uncounted {
  units: number;
  answer(standing: Standing | undefined): void;
}

/**
 * Requests counted by all processes together, in Redis.
 *
 * In use while its link is up. Otherwise, and at the start until Redis was reached, requests do not wait for it.
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
   * A policy's counter: `points` requests a subject in a window. While a command for a subject is under way, its
   * further requests gather, and the next command counts them all: a command costs the main thread 30 µs, and the
   * one key of a ticket shop may come thousands of times a second.
   */
  counter(policy: string, points: number, windowSeconds: number): SharedCount {
    const limiter = this.limiter(policy, points, windowSeconds);
    /** Of the subjects with a command under way. */
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
      const { promise, resolve } = Promise.withResolvers<Standing | undefined>();
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

  /** Never rejects: what Redis refuses or is late with is undefined. */
  private async consume(
    limiter: RateLimiterRedis,
    subject: string,
    units: number,
  ): Promise<Standing | undefined> {
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
