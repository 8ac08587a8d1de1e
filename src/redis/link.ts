import type { Redis } from "ioredis";
import { Breaker } from "../runtime/breaker.ts";
import { Loop } from "../runtime/loop.ts";
import { connectRedis, isReplica, type RedisAddress } from "./connect.ts";

/** How often a Redis that is not in use is probed. */
const PROBE_INTERVAL_MS = 200;
/**
 * How often a Redis in use is checked. Without sales no command would fail, and health would keep reporting
 * it as up. Two checks must fail in a row, so a single late reply on a busy machine changes nothing.
 */
const CHECK_INTERVAL_MS = 1000;
const FAILED_CHECKS_LIMIT = 2;
/**
 * How long Redis may refuse its work before the connection is replaced. The name or address may now lead to
 * another Redis, as after a failover.
 */
const REPLACE_CONNECTION_AFTER_MS = 1000;
/**
 * A Redis that fails again this soon must pass probes for longer and longer before it is used again. A Redis
 * at its memory limit may pass a probe and refuse the next command.
 */
const RELAPSE_WITHIN_MS = 5000;
const SHORTEST_TRIAL_MS = 400;
const LONGEST_TRIAL_MS = 5000;

/** ioredis's messages for a command that was never sent. */
const NOT_CONNECTED = /^(Stream isn't writeable|Connection is closed)/;

/** Unknown only at the start, until the first probe succeeds or fails. */
export type LinkState = "unknown" | "up" | "down";

export interface RedisLinkOptions {
  address: RedisAddress;
  timeoutMs: number;
  /**
   * Does once what the link is used for, with throw-away keys. A PING proves nothing: a replica answers it,
   * and so does a Redis that is out of memory.
   */
  probe(redis: Redis): Promise<unknown>;
  onChange(state: LinkState): void;
}

/**
 * A connection to one Redis that knows whether that Redis works.
 *
 * States:
 * - unknown, at the start → up (a probe succeeds) or down (a probe fails, or no connection can be made).
 * - up → down (a command failed or was late, see `fail`, or two checks in a row failed).
 * - down → up (a probe succeeds; after a relapse, all probes during a trial period).
 *
 * Callers send no commands while it is not up. Meanwhile it is probed every 200 ms, and its connection is
 * replaced once a second. While it is up, the same probe checks it once a second.
 */
export class RedisLink {
  readonly redis: Redis;
  private current: LinkState = "unknown";
  private whyDown: string | undefined;
  private connectionFault: Error | undefined;
  private readonly loop: Loop;
  private readonly checks = new Breaker({ failureLimit: FAILED_CHECKS_LIMIT });
  private checkedAt = performance.now();
  private isClosed = false;
  private connectedAt = performance.now();
  private upAt = Number.NEGATIVE_INFINITY;
  private trialMs = 0;
  private trialBeganAt: number | undefined;

  constructor(private readonly options: RedisLinkOptions) {
    this.redis = connectRedis(options.address, options.timeoutMs);
    this.redis.on("error", (error: Error) => {
      this.connectionFault = error;
    });
    this.redis.on("close", () => {
      if (this.current === "unknown") this.fail(new Error("the connection was closed"));
    });
    this.redis.on("ready", () => {
      this.connectionFault = undefined;
      this.connectedAt = performance.now();
      if (this.current !== "up") this.loop.poke();
    });
    this.loop = new Loop(async () => {
      await (this.current === "up" ? this.check() : this.tryOnce());
      return PROBE_INTERVAL_MS;
    }, PROBE_INTERVAL_MS);
  }

  get state(): LinkState {
    return this.current;
  }

  /** The last error of Redis or the network; undefined unless the link is down. */
  get reason(): string | undefined {
    return this.whyDown;
  }

  /** Reports a command that failed or was late. Nothing is sent after that until probes succeed. */
  fail(error: Error): void {
    if (this.isClosed) return;
    this.trialBeganAt = undefined;
    if (isReplica(error)) this.replaceOldConnection();
    if (this.current === "up") this.planTrial();
    // A command that was never sent does not say why; the last connection error does.
    if (this.whyDown === undefined || !NOT_CONNECTED.test(error.message))
      this.whyDown = (this.connectionFault ?? error).message;
    if (this.current !== "down") this.turn("down");
  }

  close(): void {
    this.isClosed = true;
    void this.loop.stop();
    this.redis.disconnect();
  }

  private planTrial(): void {
    const isRelapse = performance.now() - this.upAt < RELAPSE_WITHIN_MS;
    const longer = Math.max(SHORTEST_TRIAL_MS, 2 * this.trialMs);
    this.trialMs = isRelapse ? Math.min(longer, LONGEST_TRIAL_MS) : 0;
  }

  private async tryOnce(): Promise<void> {
    // The first connection is still being made, which says nothing yet.
    if (this.current === "unknown" && this.redis.status !== "ready") return;
    const fault = await this.faultNow();
    if (this.isClosed) return;
    if (fault) {
      this.fail(fault);
      this.replaceOldConnection();
      return;
    }
    this.trialBeganAt ??= performance.now();
    if (performance.now() - this.trialBeganAt < this.trialMs) return;
    this.trialBeganAt = undefined;
    this.whyDown = undefined;
    this.upAt = performance.now();
    this.turn("up");
  }

  private async check(): Promise<void> {
    if (performance.now() - this.checkedAt < CHECK_INTERVAL_MS) return;
    const fault = await this.faultNow();
    if (this.isClosed || this.current !== "up") return;
    if (!fault) return this.checks.succeed();
    this.checks.fail();
    if (this.checks.isOpen) this.fail(fault);
  }

  private faultNow(): Promise<Error | undefined> {
    this.checkedAt = performance.now();
    // PING first: a hung Redis would run the probe later, and its lock would then be in the way.
    return this.redis
      .ping()
      .then(() => this.options.probe(this.redis))
      .then(
        () => undefined,
        (error: Error) => error,
      );
  }

  private replaceOldConnection(): void {
    if (performance.now() - this.connectedAt < REPLACE_CONNECTION_AFTER_MS) return;
    // In every other status it is already being replaced.
    if (this.redis.status === "ready") this.redis.disconnect(true);
  }

  private turn(state: LinkState): void {
    this.current = state;
    this.checks.succeed();
    this.options.onChange(state);
  }
}
