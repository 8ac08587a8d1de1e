import { reply } from "../http/contract.ts";
import type { Route, Serve } from "../http/route.ts";
import type { PartState, PartStates } from "../telemetry/part-state.ts";
import { actuatorHealth, live, ready, startup } from "./operations-contract.ts";

/** The state that the health routes report. */
export interface HealthView {
  /** Returns whether everything is open and seeded, and the process is not draining. */
  ready(): boolean;
  /** Returns whether each configured part works; only the database decides the overall state. */
  components(): PartStates;
}

const WORDS = { unknown: "UNKNOWN", up: "UP", down: "DOWN" } as const satisfies Record<PartState, string>;

const UP = { status: "UP" } as const;
const DOWN = { status: "DOWN" } as const;

/** The probes of Kubernetes, on every port. */
export const probeRoutes = (serve: Serve, view: Pick<HealthView, "ready">): Route[] => [
  serve(live, () => UP),
  serve(ready, () => (view.ready() ? UP : reply(ready, 503, DOWN))),
  serve(startup, () => UP),
];

/** The health path that clients of the previous engine know. */
export const healthRoute = (serve: Serve, view: Pick<HealthView, "components">): Route =>
  serve(actuatorHealth, () => {
    const states = view.components();
    const components = Object.fromEntries(
      Object.entries(states).map(([name, state]: [string, PartState]) => [name, { status: WORDS[state] }]),
    );
    return states.db === "up" ? { ...UP, components } : reply(actuatorHealth, 503, { ...DOWN, components });
  });
