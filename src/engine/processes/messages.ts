import type { Parts } from "../../parts/parts.ts";
import type { ProcessMetrics } from "../../telemetry/merged-metrics.ts";

/** The command-line word that makes `src/main.ts` an engine process. Its number follows, so that `ps` shows it. */
export const ENGINE_PROCESS = "process";

/** The ports. The primary has chosen them if the settings leave that to the system. */
interface Ports {
  port: number;
  managementPort?: number;
}

/** The start message of an engine process. Only plain data crosses between the primary and an engine process. */
export interface Start {
  kind: "start";
  /** Starts at 1. A replacement has the number of its predecessor. */
  number: number;
  ports: Ports;
  /** The services that the primary has opened for all. */
  parts: Parts;
}

export type ToProcess =
  | Start
  /** Tells the process to sell for the delay, finish what it has accepted, and end. */
  | { kind: "end"; delayMs: number }
  /** Asks for the metrics of the process, which has at most one such question unanswered. */
  | { kind: "metrics-wanted" }
  | { kind: "metrics-of-all"; scrape: number; text: string };

export type ToPrimary =
  /** The process listens. */
  | { kind: "ready" }
  /** The process cannot start, and ends. */
  | { kind: "failed"; message: string }
  | { kind: "metrics"; metrics: ProcessMetrics | null }
  /** This process is being scraped; the answer carries the same number. */
  | { kind: "scraped"; scrape: number };
