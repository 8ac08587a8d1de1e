import type { Parts } from "../../parts/parts.ts";
import type { Figures } from "../../telemetry/merged-figures.ts";

/** What crosses between the primary and an engine process; plain data only. */

/** The word on the command line that makes `src/main.ts` an engine process; its number follows, for `ps` to show. */
export const ENGINE_PROCESS = "process";

/** Chosen where the settings leave that to the system. */
interface Ports {
  port: number;
  managementPort?: number;
}

/** What an engine process begins with. */
export interface Start {
  kind: "start";
  /** From 1; whoever replaces a process has its number. */
  number: number;
  ports: Ports;
  /** The services that the primary has opened for all. */
  parts: Parts;
}

export type ToProcess =
  | Start
  /** It goes on selling for the delay, finishes what it has accepted, then ends. */
  | { kind: "end"; delayMs: number }
  /** Each process has at most one of these unanswered. */
  | { kind: "figures-wanted" }
  | { kind: "figures-of-all"; scrape: number; text: string };

export type ToPrimary =
  /** It listens. */
  | { kind: "ready" }
  /** It cannot start, and ends. */
  | { kind: "failed"; message: string }
  | { kind: "figures"; figures: Figures | null }
  /** Somebody asks this process for the metrics; the answer carries the same number. */
  | { kind: "scraped"; scrape: number };
