import { isatty } from "node:tty";
import type { Config } from "../../config/config.ts";
import type { Lifecycle } from "../../runtime/lifecycle.ts";
import { type Logger, messageOf } from "../../telemetry/log.ts";

/**
 * Signals within this time belong to one key press: Ctrl-C may arrive three times, because the terminal
 * signals the whole process group, and `npx` and `bun run` forward it. That takes milliseconds; a second
 * press takes longer.
 */
const SAME_PRESS_MS = 700;
/** 128 + SIGINT: the exit code after a second signal, whichever signal it was. */
const ENDED_AT_ONCE = 130;

/** The engine, or the primary of several processes, which can shut down in order. */
export interface Ends {
  drain(delayMs: number): Promise<void>;
}

export interface EndingOptions {
  config: Pick<Config, "drainDelayMs" | "shutdownTimeoutMs">;
  log: Logger;
  lifecycle: Lifecycle;
}

/**
 * Ends this process. The first signal ends it in order; a later one ends it at once, unless it is part of the
 * same key press.
 *
 * States:
 * - starting: a signal ends the process at once with code 0, because it has accepted nothing. Left when
 *   `opened` is called.
 * - open: entered with `opened`, left at the first signal or `begin`.
 * - ending: drains the engine, then exits.
 */
export class Ending {
  private engine: Ends | undefined;
  private endedAt: number | undefined;

  constructor(private readonly options: EndingOptions) {}

  /** Starts handling SIGTERM and SIGINT. */
  heedSignals(): void {
    process.on("SIGTERM", (signal) => this.signalled(signal));
    process.on("SIGINT", (signal) => this.signalled(signal));
  }

  /** Makes later signals end the process in order, by draining `engine`. */
  opened(engine: Ends): void {
    this.engine = engine;
  }

  private signalled(signal: NodeJS.Signals): void {
    if (this.endedAt !== undefined) {
      if (performance.now() - this.endedAt > SAME_PRESS_MS) process.exit(ENDED_AT_ONCE);
      return;
    }
    // In a terminal there is no load balancer that has to notice first.
    const delayMs = signal === "SIGINT" && hasTerminal() ? 0 : this.options.config.drainDelayMs;
    this.begin(delayMs, { signal });
  }

  /** Ends the process in order, once. An engine process may be told twice: by its primary and by a signal. */
  begin(delayMs: number, cause: { signal?: NodeJS.Signals } = {}): void {
    if (this.endedAt !== undefined) return;
    this.endedAt = performance.now();
    if (!this.engine) process.exit(0);
    void this.end(this.engine, delayMs, cause);
  }

  private async end(engine: Ends, delayMs: number, cause: { signal?: NodeJS.Signals }): Promise<void> {
    const { log, lifecycle, config } = this.options;
    const { shutdownTimeoutMs: timeoutMs } = config;
    const goesOn = `ending: selling goes on for ${delayMs} ms, until load balancers have noticed (DRAIN_DELAY_MS)`;
    log.info({ ...cause, delayMs }, delayMs > 0 ? goesOn : "ending: what was accepted is finished first");
    setTimeout(() => {
      log.fatal({ timeoutMs }, "SHUTDOWN_TIMEOUT_MS is over: ending with something still open");
      process.exit(1);
    }, timeoutMs);
    const fault = await engine.drain(delayMs).catch(messageOf);
    await lifecycle.close(log);
    if (fault === undefined) log.info("ended");
    else log.fatal({ fault }, "ended, with something left undone");
    process.exit(fault === undefined ? 0 : 1);
  }
}

const hasTerminal = () => [0, 1, 2].some((descriptor) => isatty(descriptor));
