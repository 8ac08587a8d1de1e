import { z } from "zod";
import { route } from "../http/contract.ts";

/**
 * The contracts of probes, metrics and pages. They are open to everybody, with any query parameters that load balancers
 * and caches add.
 */

const operations = { method: "GET", tag: "Operations", query: "any" } as const;

const status = z.enum(["UP", "DOWN"]);
const probe = z.object({ status }).meta({ id: "Probe" });
const probed = {
  200: { description: "Yes.", body: probe, example: { status: "UP" } },
  503: { description: "No.", body: probe, example: { status: "DOWN" } },
};

export const live = route({
  ...operations,
  path: "/health/live",
  operationId: "live",
  summary: "Does the process run?",
  description: "For a liveness probe.",
  responses: probed,
  problems: [],
});

export const ready = route({
  ...operations,
  path: "/health/ready",
  operationId: "ready",
  summary: "Can it sell now?",
  description: "For a readiness probe.",
  responses: probed,
  problems: [],
});

export const startup = route({
  ...operations,
  path: "/health/startup",
  operationId: "startup",
  summary: "Has it started?",
  description: "For a startup probe. The port opens when everything is seeded.",
  responses: probed,
  problems: [],
});

const component = z.object({ status: z.enum(["UP", "DOWN", "UNKNOWN"]) }).meta({ id: "ComponentHealth" });
const health = z.object({ status, components: z.record(z.string(), component) }).meta({ id: "Health" });
const healthOf = (word: string) => ({
  ...{ status: word, components: { db: { status: word }, redis: { status: "UP" } } },
});

export const actuatorHealth = route({
  ...operations,
  path: "/actuator/health",
  operationId: "health",
  summary: "Which parts answer?",
  description: "Selling needs the database only.",
  responses: {
    200: { description: "It sells.", body: health, example: healthOf("UP") },
    503: { description: "It cannot sell.", body: health, example: healthOf("DOWN") },
  },
  problems: [],
});

const scraped = {
  responses: {
    200: { description: "All metrics.", content: { "text/plain": { schema: z.string() } } },
  },
  problems: ["unavailable"],
} as const;

export const metrics = route({
  ...operations,
  ...scraped,
  path: "/metrics",
  operationId: "metrics",
  summary: "Metrics in the Prometheus text format",
  description: "Any of several processes on one port answers for all of them.",
});

export const actuatorMetrics = route({
  ...metrics,
  path: "/actuator/prometheus",
  operationId: "actuatorPrometheus",
});

const links = z.object({ name: z.string(), version: z.string() }).catchall(z.string()).meta({ id: "Links" });

export const start = route({
  ...operations,
  path: "/",
  operationId: "links",
  summary: "Where to look",
  description: "Addresses on this server; to a browser (`Accept: text/html`) a page with the same.",
  responses: {
    200: {
      description: "The addresses.",
      body: links,
      example: {
        ...{ name: "Sentinel", docs: "/docs", openapi: "/openapi.json", events: "/api/v1/events" },
        ...{ health: "/actuator/health", metrics: "/metrics", version: "0.2.0" },
      },
    },
  },
  problems: [],
});
