import { Counter, collectDefaultMetrics, Gauge, Histogram, type Registry } from "prom-client";
import { FoldedCounter } from "./folded-counter.ts";

/**
 * How a gauge of several processes on one port is aggregated. `apart` reports each process with a label
 * `process`; it is for values that are compared with a per-process limit.
 */
type Together = "sum" | "min" | "max" | "apart";

/** The type is a string at runtime, although prom-client declares a number. */
export const isGauge = ({ type }: { type: unknown }): boolean => type === "gauge";

/**
 * Collects each process's use of machine resources. The gauges are reported per process, because leaks and
 * file limits are per process.
 */
export function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
  for (const metric of registry.getMetricsAsArray()) {
    // Bun does not provide these (garbage collections, heap spaces); they would all be 0.
    if (metric.name.startsWith("nodejs_")) registry.removeSingleMetric(metric.name);
    else if (isGauge(metric)) metric.aggregator = "omit";
  }
}

/** Functions that create metrics of one registry. */
export function makersFor(registry: Registry) {
  const registers = [registry];
  const counter = <Label extends string = never>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ name: `sentinel_${name}`, help, labelNames, registers });
  const foldedCounter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new FoldedCounter({ name: `sentinel_${name}`, help, labelNames, registers });
  const gauge = <Label extends string = never>(
    name: string,
    help: string,
    together: Together,
    labelNames: Label[] = [],
  ) =>
    new Gauge({
      ...{ name: `sentinel_${name}`, help, labelNames, registers },
      // `omit` is prom-client's word for a gauge it cannot aggregate; `withProcessLabel` adds the label.
      aggregator: together === "apart" ? "omit" : together,
    });
  const histogram = <Label extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: Label[] = [],
  ) => new Histogram({ name: `sentinel_${name}`, help, buckets, labelNames, registers });
  return { registry, counter, foldedCounter, gauge, histogram };
}

export type Makers = ReturnType<typeof makersFor>;
