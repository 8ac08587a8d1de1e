import type { Config } from "../../config/config.ts";
import { connectionLimitOf } from "../../http/limits/connection-limit.ts";
import { managementAddress, reservePort, urlOf } from "../../http/port.ts";
import { openParts } from "../../parts/parts.ts";
import { never } from "../../runtime/assert.ts";
import type { Lifecycle } from "../../runtime/lifecycle.ts";
import { FaultLog, type Logger, messageOf } from "../../telemetry/log.ts";
import { createPrimaryMetrics } from "../../telemetry/primary-metrics.ts";
import type { Engine } from "../compose.ts";
import { assertConnections } from "../connections.ts";
import { EngineProcess, type Heard } from "./engine-process.ts";
import type { Start } from "./messages.ts";
import { MetricsRound } from "./metrics-round.ts";
import { RestartDelay } from "./restart-delay.ts";

/**
 * Opens the services once, then WEB_CONCURRENCY engine processes on one port. The processes share nothing
 * else.
 *
 * This process is their primary and serves no requests. It replaces processes that die, merges their metrics,
 * and ends them in order. They end when it ends, however that happens.
 *
 * `ready` resolves when all processes listen. It rejects with the fault of the first one that could not
 * start. The primary can be drained earlier, because the first processes may already answer requests.
 * @throws {ConfigError} naming the variable to correct.
 */
export async function openProcesses(
  config: Config,
  log: Logger,
  lifecycle: Lifecycle,
): Promise<Engine & { ready: Promise<void> }> {
  const parts = await openParts(config, lifecycle);
  assertConnections(config, parts.database.connectionLimit);
  if (parts.database.notice !== undefined) log.warn(parts.database.notice);
  connectionLimitOf(config);
  const { port, release } = await reservePort(config);
  lifecycle.onClose("reservation of the port", release);
  const management = managementAddress(config);
  const managing = management && (await reservePort(management));
  if (managing) lifecycle.onClose("reservation of the management port", managing.release);
  const ports = { port, ...(managing && { managementPort: managing.port }) };
  const primary = new Primary(config.webConcurrency, { ports, parts }, log);
  lifecycle.onClose("engine processes", () => primary.kill());
  // If this process exits at once, an engine process that hangs would not notice.
  process.on("exit", () => void primary.kill());
  const ready = primary.start();
  const url = urlOf(config.host, port);
  const managementUrl = management && managing ? urlOf(management.host, managing.port) : url;
  return { parts, url, managementUrl, ready, drain: (delayMs) => primary.drain(delayMs) };
}

class Primary {
  private readonly processes = new Set<EngineProcess>();
  private readonly metrics = createPrimaryMetrics();
  private readonly round = new MetricsRound(() => this.metrics.registry.getMetricsAsJSON());
  private readonly mergeFaults: FaultLog;
  /** An ended process is replaced only while the state is `open`. */
  private state: "starting" | "open" | "ending" = "starting";

  constructor(
    private readonly count: number,
    private readonly given: Pick<Start, "parts" | "ports">,
    private readonly log: Logger,
  ) {
    this.mergeFaults = new FaultLog(log, "the metrics of the processes cannot be merged");
  }

  /** Resolves when all processes listen, and never if the primary is told to end first. */
  async start(): Promise<void> {
    const opened = Array.from({ length: this.count }, (_, index) => this.open(index + 1, new RestartDelay()));
    const anyEnded = Promise.race(
      opened.map(async ({ number, ended }) => {
        const { how } = await ended;
        throw new Error(`engine process ${number} ended before all were ready (${how})`);
      }),
    );
    const allReady = Promise.all(opened.map(({ ready }) => ready));
    const fault = await Promise.race([allReady, anyEnded]).then(
      () => undefined,
      (error: Error) => error,
    );
    // The caller of `drain` waits for the processes, and then this process exits.
    if (this.state === "ending") return new Promise(() => undefined);
    if (fault) throw fault;
    this.state = "open";
  }

  /**
   * Lets each process sell for the delay and finish what it has accepted. Resolves when all have ended.
   * @throws if one of them has not ended in order.
   */
  async drain(delayMs: number): Promise<void> {
    this.state = "ending";
    const ends = [...this.processes].map(async (each) => {
      const { isReady } = each;
      each.end(delayMs);
      const { code, how } = await each.ended;
      return isReady && code !== 0
        ? `engine process ${each.number} did not end in order (${how})`
        : undefined;
    });
    const fault = (await Promise.all(ends)).find((each) => each !== undefined);
    if (fault !== undefined) throw new Error(fault);
  }

  async kill(): Promise<void> {
    this.state = "ending";
    for (const each of this.processes) each.kill();
    await Promise.all([...this.processes].map(({ ended }) => ended));
  }

  private open(number: number, delay: RestartDelay): EngineProcess {
    const opened = new EngineProcess({
      ...this.given,
      number,
      onHeard: (heard, from) => this.hear(heard, from),
    });
    this.processes.add(opened);
    opened.ready.then(
      () => this.round.joined(opened),
      () => undefined,
    );
    void opened.ended.then(({ how }) => {
      this.processes.delete(opened);
      this.round.left(opened);
      if (this.state === "open") this.replace(opened, how, delay);
    });
    return opened;
  }

  private replace(
    { number, startedAt }: Pick<EngineProcess, "number" | "startedAt">,
    how: string,
    delay: RestartDelay,
  ): void {
    const delayMs = delay.after(performance.now() - startedAt);
    this.log.error({ process: number, how, delayMs }, "an engine process ended; it is replaced");
    this.metrics.processRestarts.inc();
    setTimeout(() => {
      if (this.state !== "open") return;
      let opened: EngineProcess;
      try {
        opened = this.open(number, delay);
      } catch (error) {
        // An upgrade has moved the program, or the system has no process left. The other processes go on.
        this.replace({ number, startedAt: performance.now() }, messageOf(error), delay);
        return;
      }
      opened.ready.then(
        () => this.log.info({ process: number }, "an engine process was replaced"),
        (error: unknown) => {
          if (this.state !== "open") return;
          this.log.error({ process: number, error: messageOf(error) }, "an engine process could not start");
        },
      );
    }, delayMs);
  }

  private hear(heard: Heard, from: EngineProcess): void {
    switch (heard.kind) {
      case "metrics":
        this.round.heard(from, heard.metrics);
        return;
      case "scraped":
        this.round.read().then(
          (text) => {
            this.mergeFaults.over();
            from.send({ kind: "metrics-of-all", scrape: heard.scrape, text });
          },
          // The process that passed the scrape on answers it with 503.
          (error: unknown) => this.mergeFaults.met(error),
        );
        return;
      default:
        never(heard, "message of an engine process");
    }
  }
}
