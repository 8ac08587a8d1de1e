import type { Config } from "../config/config.ts";
import type { Lifecycle } from "../runtime/lifecycle.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { EngineFigures } from "../threads/engine-figures.ts";
import type { Parts } from "./parts.ts";

/** The arguments that every room is opened with. Register each close with `lifecycle` on the line after its open. */
export interface Opening {
  config: Config;
  parts: Parts;
  metrics: Metrics;
  figures: EngineFigures;
  log: Logger;
  lifecycle: Lifecycle;
}
