import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { knownMetrics, MONITORING, partsOf, readAlerts, readDashboard, TARGET_LABELS } from "./queries.ts";

const GRID_COLUMNS = 24;
const dashboard = await readDashboard();
const rows = dashboard.panels.filter(({ type }) => type === "row");
const panels = dashboard.panels.filter(({ type }) => type !== "row");

describe("the dashboard", () => {
  test("has the rows that an operator asks for, in this order", () => {
    expect(rows.map(({ title }) => title)).toEqual([
      "Now",
      "Sale",
      "Holds",
      "Resilience",
      "Runtime",
      "Database pool",
    ]);
  });

  test("gives every panel an id and a title of its own, a unit, thresholds and a sentence about it", () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
    for (const { title, description = "", fieldConfig, targets } of panels) {
      expect({ title, description }).toEqual({
        title,
        description: expect.stringMatching(/^[A-Z0-9].{20,}\.$/),
      });
      expect(fieldConfig?.defaults.unit).toBeString();
      // The first step has no lower end; the others rise.
      const [first, ...steps] = (fieldConfig?.defaults.thresholds.steps ?? []).map(({ value }) => value);
      expect(first).toBeNull();
      expect(steps).toEqual(steps.toSorted((a, b) => Number(a) - Number(b)));
      expect(targets.length).toBeGreaterThan(0);
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
      if (targets.length > 1) for (const { legendFormat } of targets) expect(legendFormat).not.toBe("");
    }
  });

  test("lays its panels side by side: none over another, none over the edge", () => {
    const taken = new Map<string, string>();
    for (const { title, gridPos } of dashboard.panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(GRID_COLUMNS);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.get(`${x},${y}`)).toBeUndefined();
          taken.set(`${x},${y}`, title);
        }
      }
    }
  });

  test("reads everything from the provisioned data source", async () => {
    const provisioned = z
      .object({ datasources: z.array(z.looseObject({ uid: z.string(), type: z.string() })).length(1) })
      .parse(await yaml("grafana/provisioning/datasources/prometheus.yml"));
    const [source] = provisioned.datasources;
    const used = [
      ...panels.flatMap(({ datasource, targets }) => [datasource, ...targets.map((each) => each.datasource)]),
      ...dashboard.annotations.list.map(({ datasource }) => datasource),
      ...dashboard.templating.list.map(({ datasource }) => datasource),
    ];
    for (const each of used) expect(each).toEqual({ type: source?.type ?? "", uid: source?.uid ?? "" });
  });

  test("takes its rates over intervals that hold samples", async () => {
    const { global } = z
      .object({ global: z.object({ scrape_interval: z.string() }) })
      .parse(await yaml("prometheus/prometheus.yml"));
    const { datasources } = z
      .object({ datasources: z.array(z.object({ jsonData: z.object({ timeInterval: z.string() }) })) })
      .parse(await yaml("grafana/provisioning/datasources/prometheus.yml"));
    expect(datasources.map(({ jsonData }) => jsonData.timeInterval)).toEqual([global.scrape_interval]);
    for (const { expr } of panels.flatMap(({ targets }) => targets)) {
      for (const [range] of expr.matchAll(/\brate\([^[]*\[[^\]]*\]/g))
        expect(range).toEndWith("[$__rate_interval]");
    }
  });

  test("lets every figure of an engine be chosen by instance", () => {
    const ofAllInstances = ["ALERTS", "sentinel_publisher_active", "sentinel_sweeper_active"];
    for (const { expr } of panels.flatMap(({ targets }) => targets)) {
      for (const { metric, text } of partsOf(expr).selectors) {
        if (!ofAllInstances.includes(metric)) expect(text).toContain('job="sentinel",instance=~"$instance"');
      }
    }
  });

  test("asks only for metrics and labels that the engine has", () => {
    const known = knownMetrics();
    const exprs = [
      ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
      ...dashboard.annotations.list.map(({ expr }) => expr),
    ];
    for (const expr of exprs) {
      const { selectors, grouping } = partsOf(expr);
      for (const { metric, labels } of selectors) {
        expect([...known.keys()]).toContain(metric);
        expect(known.get(metric)).toEqual(expect.arrayContaining(labels));
      }
      const groupable = selectors.flatMap(({ metric }) => known.get(metric) ?? []);
      expect([...TARGET_LABELS, ...groupable]).toEqual(expect.arrayContaining(grouping));
    }
    for (const { expr, legendFormat } of panels.flatMap(({ targets }) => targets)) {
      const inLegend = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = ""]) => label);
      const { selectors, grouping } = partsOf(expr);
      const shown =
        grouping.length > 0 ? grouping : selectors.flatMap(({ metric }) => known.get(metric) ?? []);
      expect(shown).toEqual(expect.arrayContaining(inLegend));
    }
  });

  test("shows every metric that the engine has, or an alert watches it", async () => {
    const asked = [
      ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
      ...(await readAlerts()).map(({ expr }) => expr),
    ].flatMap((expr) =>
      partsOf(expr).selectors.map(({ metric }) => metric.replace(/_(bucket|sum|count)$/, "")),
    );
    const own = [...knownMetrics().keys()]
      .filter((metric) => metric.startsWith("sentinel_"))
      .map((metric) => metric.replace(/_(bucket|sum|count)$/, ""));
    expect([...new Set(own)].filter((metric) => !asked.includes(metric))).toEqual([]);
  });

  test("has the panels that alerts and descriptions send an operator to, by the same title", async () => {
    const titles = panels.map(({ title }) => title);
    const texts = [
      ...(await readAlerts()).map(({ annotations }) => annotations.action),
      ...panels.map(({ description = "" }) => description),
    ];
    const quoted = texts.flatMap((text) => [...text.matchAll(/"([^"]+)"/g)].map(([, title = ""]) => title));
    expect(quoted.length).toBeGreaterThan(0);
    expect(titles).toEqual(expect.arrayContaining(quoted));
  });
});

async function yaml(path: string): Promise<unknown> {
  return Bun.YAML.parse(await Bun.file(`${MONITORING}/${path}`).text());
}
