import { Counter, type CounterConfiguration } from "prom-client";

/**
 * A counter for events that happen tens of thousands of times a second. At each `inc` prom-client hashes the labels, which
 * takes 0.5 µs. A series of this counter counts in a plain number, which is added at a scrape.
 */
export class FoldedCounter<Label extends string> extends Counter<Label> {
  private readonly series: Series<Label>[] = [];

  constructor(configuration: CounterConfiguration<Label>) {
    super({
      ...configuration,
      collect() {
        if (this instanceof FoldedCounter) this.fold();
      },
    });
  }

  /** Returns the series with these labels; make it once and keep it. */
  seriesOf(labels: Record<Label, string | number>): { count(): void } {
    const series = new Series(labels);
    this.series.push(series);
    return series;
  }

  private fold(): void {
    for (const { labels, take } of this.series) {
      const counted = take();
      if (counted > 0) this.inc(labels, counted);
    }
  }
}

class Series<Label extends string> {
  private counted = 0;

  constructor(readonly labels: Record<Label, string | number>) {}

  count(): void {
    this.counted++;
  }

  readonly take = (): number => {
    const { counted } = this;
    this.counted = 0;
    return counted;
  };
}
