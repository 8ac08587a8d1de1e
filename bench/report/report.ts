import type { Measurement } from "../measure.ts";
import type { BenchOptions } from "../options.ts";
import type { Scenario } from "../scenarios/scenario.ts";
import type { Tally } from "./checks.ts";

/** A whole run, as it is kept in JSON. */
export interface Report {
  /** The machine and the parts, line by line. */
  machine: string[];
  scenarios: Pick<Scenario, "name" | "title" | "unit">[];
  options: BenchOptions;
  measurements: Measurement[];
  checks: Tally[];
  /** Scenarios that could not be measured completely, and why. */
  failures: string[];
}
