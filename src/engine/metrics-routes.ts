import { problem } from "../http/problem.ts";
import type { Route, Serve } from "../http/route.ts";
import type { ProcessMetrics } from "../telemetry/merged-metrics.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { actuatorMetrics, metrics as metricsContract } from "./operations-contract.ts";

const RETRY_AFTER = { "retry-after": "1" };

/**
 * Reads the metrics of all processes, if this process is one of several on its port. Any of them answers for
 * all.
 */
export interface AllMetrics {
  /** Registers how to read this process's own metrics. */
  onWanted(read: () => Promise<ProcessMetrics>): void;
  /** Returns the metrics of all processes as text; undefined if they are not available now. */
  read(): Promise<string | undefined>;
}

/**
 * Routes that show the metrics.
 * @param refresh updates the metrics that are not counted as they happen.
 */
export function metricsRoutes(
  serve: Serve,
  { registry }: Metrics,
  refresh: () => void,
  ofAll?: AllMetrics,
): Route[] {
  ofAll?.onWanted(() => {
    refresh();
    return registry.getMetricsAsJSON();
  });
  const scrape = async () => {
    if (!ofAll) refresh();
    const text = await (ofAll ? ofAll.read() : registry.metrics());
    // The metrics of this process alone would look as if every counter had shrunk.
    if (text === undefined)
      return problem("unavailable", "The metrics of all processes are not available now.", RETRY_AFTER);
    return new Response(text, { headers: { "content-type": registry.contentType } });
  };
  return [serve(metricsContract, scrape), serve(actuatorMetrics, scrape)];
}
