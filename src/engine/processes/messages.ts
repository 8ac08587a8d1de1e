import type { Parts } from "../../parts/parts.ts";
import type { Figures } from "../../telemetry/merged-figures.ts";

/** The command-line word that makes `src/main.ts` an engine process. Its number follows, so that `ps` shows it. */
export const ENGINE_PROCESS = "process";

/** The ports, chosen if the settings leave that to the system. */
interface Ports {
  port: number;
  managementPort?: number;
}

/** The start message of an engine process. Only plain data crosses between the primary and an engine process. */
export interface Start {
  kind: "start";
  /** From 1; a replacement has the number of its predecessor. */
  number: number;
  ports: Ports;
  /** The services that the primary has opened for all. */
  parts: Parts;
}

export type ToProcess =
  | Start
  /** Sell for the delay, finish what was accepted, then end. */
  | { kind: "end"; delayMs: number }
  /** A process has at most one of these unanswered. */
  | { kind: "figures-wanted" }
  | { kind: "figures-of-all"; scrape: number; text: string };

export type ToPrimary =
  /** It listens. */
  | { kind: "ready" }
  /** It cannot start, and ends. */
  | { kind: "failed"; message: string }
  | { kind: "figures"; figures: Figures | null }
  /** This process is being scraped; the answer carries the same number. */
  | { kind: "scraped"; scrape: number };
