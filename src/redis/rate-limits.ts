import type { Redis } from "ioredis";
import { RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import { connectRedis, type RedisAddress } from "./connect.ts";

/** How often a Redis that is away is asked whether it is back. */
const PROBE_INTERVAL_MS = 200;

export interface SharedCountsOptions {
  redis: RedisAddress;
  /** Keeps the counts of engines on other databases apart. */
  keyPrefix: string;
  timeoutMs: number;
  /** Told when counting in Redis is given up, and when it is taken up again. */
  onDegraded(degraded: boolean): void;
}

/** Where a subject stands in its window. */
export interface Standing {
  consumedPoints: number;
  msBeforeNext: number;
}

/** Counts one request and gives where its subject then stands over all processes; undefined when Redis cannot be asked. */
export type SharedCount = (subject: string) => Promise<Standing | undefined>;

type Answer = (standing: Standing | undefined) => void;

/**
 * Requests counted by all processes together, in Redis.
 *
 * States: in use → (a command fails or is late) → degraded → (a ping is answered) → in use. Degraded, and at
 * the start until Redis was reached, nobody waits for it.
 */
export class SharedCounts {
  private readonly redis: Redis;
  private probe: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: SharedCountsOptions) {
    this.redis = connectRedis(options.redis, options.timeoutMs);
    this.degrade();
  }

  get degraded(): boolean {
    return this.probe !== undefined;
  }

  /**
   * A policy's counter: `points` requests a subject in a window. While a command for a subject is under way, its
   * further requests gather, and the next command counts them all: a command costs the main thread 30 µs, and the
   * one key of a ticket shop may come thousands of times a second.
   */
  counter(policy: string, points: number, windowSeconds: number): SharedCount {
    const limiter = new RateLimiterRedis({
      storeClient: this.redis,
      keyPrefix: `${this.options.keyPrefix}:limit:${policy}`,
      points,
      duration: windowSeconds,
    });
    /** Of the subjects with a command under way. */
    const gathered = new Map<string, Answer[]>();
    const begin = async (subject: string, answers: Answer[]) => {
      gathered.set(subject, []);
      const last = await this.consume(limiter, subject, answers.length);
      for (const [position, answer] of answers.entries()) {
        const later = answers.length - 1 - position;
        answer(last && { consumedPoints: last.consumedPoints - later, msBeforeNext: last.msBeforeNext });
      }
      const next = gathered.get(subject) ?? [];
      gathered.delete(subject);
      if (next.length > 0) void begin(subject, next);
    };
    return (subject) => {
      const { promise, resolve } = Promise.withResolvers<Standing | undefined>();
      const waiting = gathered.get(subject);
      if (waiting) waiting.push(resolve);
      else void begin(subject, [resolve]);
      return promise;
    };
  }

  close(): void {
    clearInterval(this.probe);
    this.redis.disconnect();
  }

  /** Never rejects: what Redis refuses or is late with is undefined. */
  private async consume(
    limiter: RateLimiterRedis,
    subject: string,
    requestCount: number,
  ): Promise<Standing | undefined> {
    if (this.degraded) return undefined;
    try {
      return await limiter.consume(subject, requestCount);
    } catch (refusal) {
      if (refusal instanceof RateLimiterRes) return refusal;
      this.degrade();
      return undefined;
    }
  }

  private degrade(): void {
    if (this.degraded) return;
    this.options.onDegraded(true);
    this.probe = setInterval(async () => {
      const answered = await this.redis.ping().catch(() => undefined);
      if (answered === undefined || !this.degraded) return;
      clearInterval(this.probe);
      this.probe = undefined;
      this.options.onDegraded(false);
    }, PROBE_INTERVAL_MS);
  }
}
