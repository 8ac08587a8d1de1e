import { Counter, Registry } from "prom-client";
import { takeDroppedLogLines } from "./log-output.ts";
import { collectProcessFigures, LOG_LINES_DROPPED, PROCESS_RESTARTS } from "./metrics.ts";

/** Of the primary of several engine processes, which sells nothing: its own needs, and what only it can count. */
export function createPrimaryMetrics() {
  const registry = new Registry();
  collectProcessFigures(registry);
  new Counter({
    ...{ ...LOG_LINES_DROPPED, registers: [registry] },
    collect() {
      this.inc(takeDroppedLogLines());
    },
  });
  return { registry, processRestarts: new Counter({ ...PROCESS_RESTARTS, registers: [registry] }) };
}
