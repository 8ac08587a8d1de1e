import { Elysia } from "elysia";
import { requestIdOf } from "../http/request-id.ts";
import type { Metrics } from "./metrics.ts";

/**
 * For controllers off the hot path: the request's id goes out with the answer, and the answer is counted by
 * route template. (The reserve route does both itself, without a hook's cost.)
 */
export function observed(metrics: Metrics) {
  return new Elysia({ name: "observed" })
    .onAfterHandle({ as: "scoped" }, ({ request, set }) => {
      set.headers["x-request-id"] = requestIdOf(request);
    })
    .onAfterResponse({ as: "scoped" }, ({ request, route, set, responseValue }) => {
      const status = responseValue instanceof Response ? responseValue.status : (set.status ?? 200);
      metrics.httpRequests.inc({ route, method: request.method, status });
    });
}
