import { AggregatorRegistry, type Registry } from "prom-client";
import { isGauge } from "./metric-makers.ts";

/** All metrics of one process at one moment, as plain data. */
export type ProcessMetrics = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>;

/** Returns the metrics that only grow. They outlive their process, unlike its gauges. */
export function countersOf(metrics: ProcessMetrics): ProcessMetrics {
  return metrics.filter((metric) => !isGauge(metric));
}

/** Adds a label `process` to the gauges that are reported per process (see `createMetrics`). */
export function withProcessLabel(metrics: ProcessMetrics, process: string): ProcessMetrics {
  return metrics.map((metric) =>
    metric.aggregator === "omit"
      ? {
          ...metric,
          aggregator: "sum",
          values: metric.values.map((value) => ({ ...value, labels: { ...value.labels, process } })),
        }
      : metric,
  );
}

/** Merges the metrics of several processes into those of one, each by its declared aggregation. */
export function mergeMetrics(all: ProcessMetrics[]): Promise<ProcessMetrics> {
  return AggregatorRegistry.aggregate(all).getMetricsAsJSON();
}

/** Same as `mergeMetrics`, in Prometheus's text format. */
export function mergedText(all: ProcessMetrics[]): Promise<string> {
  return AggregatorRegistry.aggregate(all).metrics();
}
