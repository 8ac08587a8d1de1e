import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { partOrSkip } from "../fixtures/parts.ts";
import { knownMetrics, MONITORING, partsOf, readAlerts, TARGET_LABELS } from "./queries.ts";
import { findPrometheus, run } from "./tools.ts";

const PROMETHEUS = `${MONITORING}/prometheus`;
const tools = await partOrSkip("prometheus", findPrometheus);
const alerts = await readAlerts();

describe.skipIf(!tools)("promtool", () => {
  const promtool = tools?.promtool ?? "";

  test("accepts the configuration and every rule, without a lint", () => {
    const config = run([promtool, "check", "config", "prometheus.yml"], PROMETHEUS);
    expect(config).toMatchObject({ exitCode: 0, output: expect.not.stringContaining("FAILED") });
    const rules = run([promtool, "check", "rules", "--lint-fatal", ...filesOf("rules/*.yml")], PROMETHEUS);
    expect(rules).toMatchObject({ exitCode: 0 });
  });

  test("sees every alert fire and stay silent as its tests say", () => {
    const result = run([promtool, "test", "rules", ...filesOf("rules-tests/*.yml")], PROMETHEUS);
    expect(result).toMatchObject({ exitCode: 0, output: expect.stringContaining("SUCCESS") });
  });
});

describe("an alert", () => {
  const testsFile = z.object({
    tests: z.array(
      z.object({
        promql_expr_test: z.array(
          z.object({ expr: z.string(), exp_samples: z.array(z.unknown()).optional() }),
        ),
      }),
    ),
  });

  test("has a test in which it fires and one in which it does not", async () => {
    const expectations = (
      await Promise.all(
        filesOf("rules-tests/*.yml").map(async (file) =>
          testsFile.parse(Bun.YAML.parse(await Bun.file(`${PROMETHEUS}/${file}`).text())),
        ),
      )
    ).flatMap(({ tests }) => tests.flatMap((each) => each.promql_expr_test));
    const untested = alerts.flatMap(({ alert }) => {
      const ofAlert = expectations.filter(({ expr }) => expr.includes(`alertname="${alert}"`));
      const fires = ofAlert.some(({ exp_samples = [] }) => exp_samples.length > 0);
      const stays = ofAlert.some(({ exp_samples = [] }) => exp_samples.length === 0);
      return [...(fires ? [] : [`${alert} fires`]), ...(stays ? [] : [`${alert} does not fire`])];
    });
    expect(untested).toEqual([]);
  });

  test("has a name of its own, and says what it is, what it means and what to do", () => {
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
    for (const { alert, annotations } of alerts) {
      expect(alert).toStartWith("Sentinel");
      for (const text of Object.values(annotations)) expect(text.length).toBeGreaterThan(20);
    }
  });

  test("asks only for metrics and labels that the engine has", () => {
    const known = knownMetrics();
    for (const { expr } of alerts) {
      const { selectors, grouping } = partsOf(expr);
      expect(selectors).not.toEqual([]);
      for (const { metric, labels } of selectors) {
        expect([...known.keys()]).toContain(metric);
        expect(known.get(metric)).toEqual(expect.arrayContaining(labels));
      }
      const groupable = selectors.flatMap(({ metric }) => known.get(metric) ?? []);
      expect([...TARGET_LABELS, ...groupable]).toEqual(expect.arrayContaining(grouping));
    }
  });

  test("tells only of settings that the engine has", async () => {
    const { describeConfig } = await import("../../src/config/config.ts");
    const variables = describeConfig().map(({ variable }) => variable);
    const named = alerts.flatMap(
      ({ annotations }) => annotations.action.match(/\b[A-Z]+(?:_[A-Z]+)+\b/g) ?? [],
    );
    expect(named.length).toBeGreaterThan(0);
    expect(variables).toEqual(expect.arrayContaining(named));
  });
});

describe("reading PromQL", () => {
  test("finds metrics, matchers and grouping, and no function, keyword, duration or text", () => {
    const expr = `histogram_quantile(0.99, sum by (le, stage) (rate(a_bucket{job="x{}",s=~"b or c"}[1m]))) > 0.5
      or on () label_replace(vector(0), "not_a_metric", "", "", "") unless plain offset 5m`;
    expect(partsOf(expr)).toEqual({
      selectors: [
        { text: `a_bucket{job="x{}",s=~"b or c"}`, metric: "a_bucket", labels: ["job", "s"] },
        { text: "plain", metric: "plain", labels: [] },
      ],
      grouping: ["le", "stage"],
    });
  });
});

function filesOf(pattern: string): string[] {
  return [...new Bun.Glob(pattern).scanSync({ cwd: PROMETHEUS })].sort();
}
