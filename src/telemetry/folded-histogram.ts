import type { Histogram, Registry } from "prom-client";

/**
 * A histogram for events that happen tens of thousands of times a second. It has plain counters by one label,
 * converted to Prometheus's form at a scrape. prom-client's own histogram hashes its labels at each
 * observation, which took 7 % of the main thread.
 */
export class FoldedHistogram<Value extends string> {
  readonly type = "histogram";
  readonly labelNames: string[];
  private readonly series: Map<Value, { counts: Float64Array; sum: number }>;

  constructor(
    registry: Registry,
    readonly name: string,
    readonly help: string,
    private readonly buckets: number[],
    private readonly label: { name: string; values: readonly Value[] },
  ) {
    this.labelNames = [label.name];
    this.series = new Map(
      label.values.map((value) => [value, { counts: new Float64Array(buckets.length + 1), sum: 0 }]),
    );
    // The registry uses only a metric's name and `get`.
    registry.registerMetric(this as unknown as Histogram);
  }

  observe(value: Value, amount: number): void {
    const series = this.series.get(value);
    if (!series) return;
    const place = this.buckets.findIndex((bound) => amount <= bound);
    const index = place === -1 ? this.buckets.length : place;
    series.counts[index] = (series.counts[index] ?? 0) + 1;
    series.sum += amount;
  }

  /** Called by the registry at a scrape. */
  async get() {
    const values: { metricName: string; labels: Record<string, string | number>; value: number }[] = [];
    for (const [value, { counts, sum }] of this.series) {
      const labels = { [this.label.name]: value };
      let total = 0;
      for (const [index, count] of counts.entries()) {
        total += count;
        const le = this.buckets[index] ?? "+Inf";
        values.push({ metricName: `${this.name}_bucket`, labels: { le, ...labels }, value: total });
      }
      values.push({ metricName: `${this.name}_sum`, labels, value: sum });
      values.push({ metricName: `${this.name}_count`, labels, value: total });
    }
    return { name: this.name, help: this.help, type: this.type, values, aggregator: "sum" };
  }
}
