import { Elysia } from "elysia";
import { observedWithAnyQuery } from "../http/observed.ts";
import { problemResponse } from "../http/openapi.ts";
import { problem } from "../http/problem.ts";
import type { Figures } from "../telemetry/merged-figures.ts";
import type { Metrics } from "../telemetry/metrics.ts";

const RETRY_AFTER = { "retry-after": "1" };

const detail = {
  operationId: "metrics",
  tags: ["Operations"],
  summary: "Metrics in the Prometheus text format",
  responses: {
    200: { description: "All metrics.", content: { "text/plain": { schema: { type: "string" as const } } } },
    503: problemResponse(
      "Of several processes on one port, the one that puts their figures together hangs.",
      ["unavailable"],
    ),
  },
};

/** Where this process is one of several on its port: any of them is asked, and answers for all. */
export interface FiguresOfAll {
  /** Gives this process's own figures whenever they are wanted. */
  onWanted(read: () => Promise<Figures>): void;
  /** Those of all, as text; undefined when they cannot be had now. */
  read(): Promise<string | undefined>;
}

/** @param refresh brings figures up to date that are not counted as they happen. */
export function metricsRoutes(metrics: Metrics, refresh: () => void, ofAll?: FiguresOfAll) {
  const { registry } = metrics;
  ofAll?.onWanted(() => {
    refresh();
    return registry.getMetricsAsJSON();
  });
  const scrape = async () => {
    if (!ofAll) refresh();
    const text = await (ofAll ? ofAll.read() : registry.metrics());
    // Its own alone would look as if everything counted so far had shrunk.
    if (text === undefined)
      return problem("unavailable", "The figures of all processes cannot be had now.", RETRY_AFTER);
    return new Response(text, { headers: { "content-type": registry.contentType } });
  };
  return new Elysia({ name: "metrics" })
    .get(...observedWithAnyQuery(metrics, "/metrics", scrape), { detail })
    .get(...observedWithAnyQuery(metrics, "/actuator/prometheus", scrape), {
      detail: { ...detail, operationId: "actuatorPrometheus" },
    });
}
