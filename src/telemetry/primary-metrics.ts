import { Counter, Registry } from "prom-client";
import { collectProcessFigures, PROCESS_RESTARTS } from "./metrics.ts";

/** Of the primary of several engine processes, which sells nothing: its own needs, and what only it can count. */
export function createPrimaryMetrics() {
  const registry = new Registry();
  collectProcessFigures(registry);
  return { registry, processRestarts: new Counter({ ...PROCESS_RESTARTS, registers: [registry] }) };
}
