import type { Config } from "./config.ts";
import type { Parts } from "./embedded/parts.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { EngineFigures } from "./telemetry/engine-figures.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

/** What the rooms are opened with; each close goes to `lifecycle` on the line after its open. */
export interface Opening {
  config: Config;
  parts: Parts;
  metrics: Metrics;
  figures: EngineFigures;
  log: Logger;
  lifecycle: Lifecycle;
}
