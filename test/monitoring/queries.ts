import { resolve } from "node:path";
import { z } from "zod";
import { createMetrics } from "../../src/telemetry/metrics.ts";

export const MONITORING = resolve(import.meta.dir, "../../monitoring");

const dataSource = z.object({ type: z.string(), uid: z.string() });

const panel = z.looseObject({
  id: z.number(),
  type: z.enum(["row", "stat", "timeseries"]),
  title: z.string().min(1),
  description: z.string().optional(),
  gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
  datasource: dataSource.optional(),
  fieldConfig: z
    .object({
      defaults: z.looseObject({
        unit: z.string(),
        thresholds: z.object({
          mode: z.literal("absolute"),
          steps: z.array(z.object({ color: z.string(), value: z.number().nullable() })).min(1),
        }),
      }),
    })
    .optional(),
  targets: z
    .array(
      z.object({
        refId: z.string(),
        datasource: dataSource,
        expr: z.string().min(1),
        legendFormat: z.string(),
        instant: z.boolean(),
        range: z.boolean(),
      }),
    )
    .default([]),
});

const dashboard = z.looseObject({
  uid: z.string(),
  title: z.string(),
  panels: z.array(panel),
  annotations: z.object({
    list: z.array(z.looseObject({ name: z.string(), datasource: dataSource, expr: z.string() })),
  }),
  templating: z.object({
    list: z.array(z.looseObject({ name: z.string(), datasource: dataSource, definition: z.string() })),
  }),
});

export type Dashboard = z.output<typeof dashboard>;

export async function readDashboard(): Promise<Dashboard> {
  return dashboard.parse(await Bun.file(`${MONITORING}/grafana/dashboards/sentinel.json`).json());
}

const rulesFile = z.object({
  groups: z.array(
    z.object({
      name: z.string(),
      rules: z.array(
        z.object({
          alert: z.string(),
          expr: z.string(),
          for: z.string().optional(),
          labels: z.object({ severity: z.enum(["critical", "warning"]) }),
          annotations: z.object({ summary: z.string(), impact: z.string(), action: z.string() }),
        }),
      ),
    }),
  ),
});

export type Alert = z.output<typeof rulesFile>["groups"][number]["rules"][number];

export async function readAlerts(): Promise<Alert[]> {
  const files = await Array.fromAsync(
    new Bun.Glob("*.yml").scan({ cwd: `${MONITORING}/prometheus/rules`, absolute: true }),
  );
  const read = await Promise.all(
    files.map(async (file) => rulesFile.parse(Bun.YAML.parse(await Bun.file(file).text()))),
  );
  return read.flatMap(({ groups }) => groups.flatMap(({ rules }) => rules));
}

/** `name{label="value"}` as it stands in a query, and the two apart. */
export interface Selector {
  text: string;
  metric: string;
  labels: string[];
}

const GROUPING = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const KEYWORDS = new Set(["and", "or", "unless", "bool", "offset"]);

/** The metrics that a PromQL expression selects, with their matchers, and the labels that it groups by. */
export function partsOf(expr: string): { selectors: Selector[]; grouping: string[] } {
  const grouping = [...expr.matchAll(GROUPING)].flatMap(([, names = ""]) => namesIn(names));
  const bare = expr.replace(GROUPING, " ").replace(/\[[^\]]*\]/g, " ");
  const selectors = [
    ...bare.matchAll(/"[^"]*"|\d[\w.]*|([a-zA-Z_:][\w:]*)(\s*\(|\{(?:[^}"]|"[^"]*")*\})?/g),
  ].flatMap(([text, metric, rest = ""]) => {
    if (!metric || KEYWORDS.has(metric) || rest.trim() === "(") return [];
    const labels = [...rest.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(([, label = ""]) => label);
    return [{ text, metric, labels }];
  });
  return { selectors, grouping };
}

const namesIn = (list: string) =>
  list
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");

/** Labels that Prometheus itself puts on everything that it scrapes. */
export const TARGET_LABELS = ["job", "instance"];

/** What can be selected, and by which labels: the engine's metrics, and the two that Prometheus makes. */
export function knownMetrics(): Map<string, string[]> {
  const metric = z.object({ name: z.string(), type: z.string(), labelNames: z.array(z.string()) });
  const known = new Map([
    ["up", TARGET_LABELS],
    ["ALERTS", [...TARGET_LABELS, "alertname", "alertstate", "severity"]],
  ]);
  for (const entry of createMetrics().registry.getMetricsAsArray()) {
    const { name, type, labelNames } = metric.parse(entry);
    const labels = [...TARGET_LABELS, ...labelNames];
    if (type !== "histogram") known.set(name, labels);
    else {
      known.set(`${name}_bucket`, [...labels, "le"]);
      for (const suffix of ["sum", "count"]) known.set(`${name}_${suffix}`, labels);
    }
  }
  return known;
}
