import { Elysia } from "elysia";
import type { Metrics } from "./metrics.ts";
import { observed } from "./observed.ts";

const detail = {
  operationId: "metrics",
  tags: ["Operations"],
  summary: "Metrics in the Prometheus text format",
  responses: {
    200: { description: "All metrics.", content: { "text/plain": { schema: { type: "string" as const } } } },
  },
};

/** @param refresh brings figures up to date that are not counted as they happen. */
export function metricsRoutes(metrics: Metrics, refresh: () => void) {
  const scrape = async () => {
    refresh();
    return new Response(await metrics.registry.metrics(), {
      headers: { "content-type": metrics.registry.contentType },
    });
  };
  return new Elysia({ name: "metrics" })
    .get(...observed(metrics, "/metrics", scrape), { detail })
    .get(...observed(metrics, "/actuator/prometheus", scrape), {
      detail: { ...detail, operationId: "actuatorPrometheus" },
    });
}
