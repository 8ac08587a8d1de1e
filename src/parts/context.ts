import type { Config } from "../config/config.ts";
import type { Lifecycle } from "../runtime/lifecycle.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { EngineMetrics } from "../threads/engine-metrics.ts";
import type { Parts } from "./parts.ts";

/** The arguments that every room is opened with. Register each close with `lifecycle` on the line after its open. */
export interface Context {
  config: Config;
  parts: Parts;
  metrics: Metrics;
  engineMetrics: EngineMetrics;
  log: Logger;
  lifecycle: Lifecycle;
}

/** Returns the prefix of every key and channel in Redis, so that engines of other databases can share it. */
export const keyPrefixOf = ({ database }: Parts): string => `sentinel:${database.id}`;
