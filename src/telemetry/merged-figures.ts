import { AggregatorRegistry, type Registry } from "prom-client";
import { isGauge } from "./metrics.ts";

/** All metrics of one process at one moment, as plain data. */
export type Figures = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>;

/** Whatever only grows: it counts on when its process has ended, which its gauges do not. */
export function countersOf(figures: Figures): Figures {
  return figures.filter((metric) => !isGauge(metric));
}

/** The same with a label `process` on every gauge that is told of each process apart (see `createMetrics`). */
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

/** The figures of several processes as those of one: each metric put together as it was declared. */
export function mergeFigures(all: Figures[]): Promise<Figures> {
  return AggregatorRegistry.aggregate(all).getMetricsAsJSON();
}

/** The same, in Prometheus's text format. */
export function mergedText(all: Figures[]): Promise<string> {
  return AggregatorRegistry.aggregate(all).metrics();
}
