import { Elysia } from "elysia";
import { observedWithAnyQuery } from "../http/observed.ts";
import { jsonResponse } from "../http/openapi.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { PartState, PartStates } from "../telemetry/part-state.ts";

/** What the health routes report. */
export interface HealthView {
  /** Everything is open and seeded, and the process is not draining. */
  ready(): boolean;
  /** Whether each configured part does its work; only the database decides over the whole. */
  components(): PartStates;
}

const word = (up: boolean) => (up ? "UP" : "DOWN");
const WORDS = { unknown: "UNKNOWN", up: "UP", down: "DOWN" } as const satisfies Record<PartState, string>;
const answer = (up: boolean, body: object) => Response.json(body, { status: up ? 200 : 503 });

const statusSchema = {
  type: "object",
  required: ["status"],
  properties: { status: { type: "string", enum: ["UP", "DOWN"] } },
};
const detail = (operationId: string, summary: string) => ({
  operationId,
  tags: ["Operations"],
  summary,
  responses: {
    200: jsonResponse("Yes.", statusSchema, { status: "UP" }),
    503: jsonResponse("No.", statusSchema, { status: "DOWN" }),
  },
});

/** For Kubernetes, on every port. */
export function probeRoutes(view: Pick<HealthView, "ready">, metrics: Metrics) {
  const ready = () => answer(view.ready(), { status: word(view.ready()) });
  return new Elysia({ name: "probes" })
    .get(...observedWithAnyQuery(metrics, "/health/live", () => answer(true, { status: "UP" })), {
      detail: detail("live", "Does the process run?"),
    })
    .get(...observedWithAnyQuery(metrics, "/health/ready", ready), {
      detail: detail("ready", "Can it sell now?"),
    })
    .get(...observedWithAnyQuery(metrics, "/health/startup", () => answer(true, { status: "UP" })), {
      detail: detail("startup", "Has it started? (The port opens when everything is seeded.)"),
    });
}

/** The health path that the existing engine's clients know. */
export function healthRoutes(view: Pick<HealthView, "components">, metrics: Metrics) {
  return new Elysia({ name: "health" }).get(
    ...observedWithAnyQuery(metrics, "/actuator/health", () => {
      const components = view.components();
      const sells = components.db === "up";
      return answer(sells, {
        status: word(sells),
        components: Object.fromEntries(
          Object.entries(components).map(([name, state]: [string, PartState]) => [
            name,
            { status: WORDS[state] },
          ]),
        ),
      });
    }),
    { detail: detail("health", "Which parts answer? Selling needs the database only.") },
  );
}
