import { beforeAll, describe, expect, test } from "bun:test";
import { z } from "zod";
import { partOrSkip } from "../fixtures/parts.ts";
import { until } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import { type Prometheus, startPrometheus } from "./prometheus.ts";
import { partsOf, readAlerts, readDashboard } from "./queries.ts";
import { findPrometheus } from "./tools.ts";

/** Ten scrapes of the test's Prometheus. */
const RATE_INTERVAL = "10s";

/** What a healthy engine without a Kafka of its own never has: a Kafka that could be away, and errors. */
const ABSENT_WHEN_HEALTHY = ['component="kafka"', 'status=~"5.."'];

const tools = await partOrSkip("prometheus", findPrometheus);

describe.skipIf(!tools)("a running engine, watched by a real Prometheus", () => {
  const sale = useEngine({ env: { RATE_LIMIT_ADDRESS_REQUESTS: "0" } });
  let prometheus: Prometheus;
  let target = "";
  let nextSeat = 1;

  /** A little of everything: two requests for each of some seats, one for none, one that is no seat id; a hold that is confirmed. */
  const sellSome = async () => {
    const seats = Array.from({ length: 2 }, () => nextSeat++);
    const reserve = async (seatId: number | string) => {
      const answer = await fetch(`${sale.url}/api/v1/bookings/reserve/${seatId}`, { method: "POST" });
      await answer.body?.cancel();
    };
    await Promise.all([...seats, ...seats, 999_999, "first-row"].map(reserve));
    const held = await fetch(`${sale.url}/api/v1/reservations`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ seatIds: [nextSeat++] }),
    });
    const { reservationId = "", token = "" } = (await held.json()) as Record<string, string>;
    const confirmed = await fetch(`${sale.url}/api/v1/reservations/${reservationId}/confirm`, {
      method: "POST",
      headers: { "x-reservation-token": token },
    });
    await confirmed.body?.cancel();
  };

  /** Sells on until every query has given a number; a query that has done so once is not asked again. */
  const untilAllHaveData = async (queries: { name: string; expr: string }[]) => {
    let without = queries;
    try {
      await until("every query gives data", async () => {
        await sellSome();
        const answers = await Promise.all(without.map(({ expr }) => prometheus.query(expr)));
        without = without.filter((_, index) => !answers[index]?.some(({ value }) => Number.isFinite(value)));
        return without.length === 0;
      });
    } catch (cause) {
      const named = without.map(({ name, expr }) => `${name}: ${expr}`).join("\n");
      throw new Error(`no data after ${nextSeat - 1} seats for\n${named}`, { cause });
    }
  };

  beforeAll(async () => {
    target = new URL(sale.url).host;
    prometheus = await startPrometheus(target);
    sale.stack.defer(prometheus.stop);
  });

  test("answers on both paths in the text format that Prometheus 3 insists on", async () => {
    for (const path of ["/metrics", "/actuator/prometheus"]) {
      const answer = await fetch(`${sale.url}${path}`);
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
      expect(await answer.text()).toContain("# TYPE sentinel_reservations_total counter");
    }
  });

  test("has data for every query of every panel", async () => {
    const { panels } = await readDashboard();
    await untilAllHaveData(
      panels.flatMap(({ title, targets }) =>
        targets.map(({ refId, expr }) => ({
          name: `${title} ${refId}`,
          expr: expr
            .replaceAll("$instance", target)
            .replaceAll("$__rate_interval", RATE_INTERVAL)
            .replaceAll("$__range", "1m"),
        })),
      ),
    );
  });

  test("has every series that an alert waits for, so that none is silent for want of data", async () => {
    const waitedFor = (await readAlerts()).flatMap(({ alert, expr }) =>
      partsOf(expr).selectors.map(({ text }) => ({ name: alert, expr: text })),
    );
    await untilAllHaveData(
      waitedFor.filter(({ expr }) => !ABSENT_WHEN_HEALTHY.some((matcher) => expr.includes(matcher))),
    );
  });

  test("has every rule evaluated without an error, and none firing", async () => {
    const rules = z.object({
      groups: z.array(
        z.object({ rules: z.array(z.object({ name: z.string(), health: z.string(), state: z.string() })) }),
      ),
    });
    const evaluated = await until("every rule is evaluated", async () => {
      const { groups } = await prometheus.get("rules", rules);
      const all = groups.flatMap((group) => group.rules);
      return all.every(({ health }) => health !== "unknown") && all;
    });
    expect(evaluated).toHaveLength((await readAlerts()).length);
    expect(evaluated.filter(({ health, state }) => health !== "ok" || state === "firing")).toEqual([]);
  });

  test("can be chosen as the dashboard's instance, and its annotations are understood", async () => {
    const { annotations, templating } = await readDashboard();
    for (const { expr } of annotations.list) expect(await prometheus.query(expr)).toBeArray();
    for (const { definition } of templating.list) {
      const [, selector = "", label] = /^label_values\((.+), (\w+)\)$/.exec(definition) ?? [];
      const values = await prometheus.get(
        `label/${label}/values?${new URLSearchParams({ "match[]": selector })}`,
        z.array(z.string()),
      );
      expect(values).toContain(target);
    }
  });
});
