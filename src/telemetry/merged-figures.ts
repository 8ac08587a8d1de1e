import { AggregatorRegistry, type Registry } from "prom-client";
import { isGauge } from "./metric-makers.ts";

/** All metrics of one process at one moment, as plain data. */
export type Figures = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>;

/** Returns the metrics that only grow. They outlive their process, unlike its gauges. */
export function countersOf(figures: Figures): Figures {
  return figures.filter((metric) => !isGauge(metric));
}

/** Adds a label `process` to the gauges that are reported per process (see `createMetrics`). */
export function toldApart(figures: Figures, process: string): Figures {
  return figures.map((metric) =>
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
export function mergeFigures(all: Figures[]): Promise<Figures> {
  return AggregatorRegistry.aggregate(all).getMetricsAsJSON();
}

/** Same as `mergeFigures`, in Prometheus's text format. */
export function mergedText(all: Figures[]): Promise<string> {
  return AggregatorRegistry.aggregate(all).metrics();
}
