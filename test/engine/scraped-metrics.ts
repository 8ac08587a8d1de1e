/** One scrape of an engine's metrics. */
export interface ScrapedMetrics {
  /** The value of the one series with these labels; undefined when there is none. */
  value(name: string, labels?: Record<string, string>): number | undefined;
  /** The sum over all series that carry these labels among others; 0 when there is none. */
  sum(name: string, labels?: Record<string, string>): number;
  /** Every series, as `name{label="value",...}`. */
  series: string[];
  contentType: string;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export async function readMetrics(url: string, path = "/metrics"): Promise<ScrapedMetrics> {
  const response = await fetch(url + path);
  return metricsIn(await response.text(), response.headers.get("content-type") ?? "");
}

/** What Prometheus would read there. */
export function metricsIn(text: string, contentType = ""): ScrapedMetrics {
  const lines = text.split("\n").filter((line) => line.length > 0 && !line.startsWith("#"));
  const samples = lines.map((line) => {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (name === undefined) throw new Error(`this line of the metrics cannot be read: ${line}`);
    return {
      name,
      labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, label, text]) => [label, text])),
      series: labels ? `${name}{${labels}}` : name,
      value: Number(value),
    };
  });
  const matching = (name: string, labels: Record<string, string>) =>
    samples.filter(
      (sample) =>
        sample.name === name &&
        Object.entries(labels).every(([label, text]) => sample.labels[label] === text),
    );
  return {
    value: (name, labels = {}) =>
      matching(name, labels).find(
        (sample) => Object.keys(sample.labels).length === Object.keys(labels).length,
      )?.value,
    sum: (name, labels = {}) => matching(name, labels).reduce((total, { value }) => total + value, 0),
    series: samples.map(({ series }) => series),
    contentType,
  };
}
