import type { Measurement } from "../measure.ts";
import type { Stage } from "../stage.ts";
import type { ScenarioName } from "./names.ts";

/** One row of the report, measured once per round in turn with the others of its phase. */
export interface Cell {
  connections: number;
  measure(round: number): Promise<Measurement>;
}

export interface Scenario {
  name: ScenarioName | "constant";
  /** The heading of its rows. */
  title: string;
  /** What its rate counts. */
  unit: string;
  /** Prepares the scenario and returns its rows; none, with a printed reason, if this machine lacks something. */
  open(stage: Stage): Promise<Cell[]>;
}
