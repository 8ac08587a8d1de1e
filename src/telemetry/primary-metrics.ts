import { Counter, Registry } from "prom-client";
import { takeDroppedLogLines } from "./log-output.ts";
import { collectProcessMetrics } from "./metric-makers.ts";
import { LOG_LINES_DROPPED, PROCESS_RESTARTS } from "./metrics.ts";

/**
 * Creates the metrics of the primary, which runs several engine processes and sells nothing: its use of
 * resources, and restarts.
 */
export function createPrimaryMetrics() {
  const registry = new Registry();
  collectProcessMetrics(registry);
  new Counter({
    ...{ ...LOG_LINES_DROPPED, registers: [registry] },
    collect() {
      this.inc(takeDroppedLogLines());
    },
  });
  return { registry, processRestarts: new Counter({ ...PROCESS_RESTARTS, registers: [registry] }) };
}
