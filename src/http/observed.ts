import type { Metrics } from "../telemetry/metrics.ts";
import { unknownField } from "./invalid-field.ts";
import { problem } from "./problem.ts";
import { firstParameterOf, queryOf } from "./query.ts";
import { requestIdOf } from "./request-id.ts";

/** What a handler off the hot path may ask of Elysia's context. */
interface Context {
  request: Request;
  params: { seatId?: string; keyId?: string; eventId?: string; reservationId?: string; denialId?: string };
  /** Null where the app does not listen. */
  server: { timeout(request: Request, seconds: number): void } | null;
}

/** The query is there for handlers that check it themselves, unknown parameters too. */
interface ContextWithQuery extends Context {
  query: Record<string, string>;
}

/**
 * A path and its handler, for routes off the hot path: the request's id goes out with the answer, and the
 * answer is counted. A query parameter is refused: the route has none. Not as a hook: one hook anywhere makes
 * Elysia prepare its context for every route, the reserve route too, which does both for itself.
 */
export const observed = (metrics: Metrics, path: string, handler: (context: Context) => unknown) =>
  observing(metrics, path, (context) => {
    const parameter = firstParameterOf(context.request.url);
    return parameter === undefined ? handler(context) : problem("invalid-request", unknownField(parameter));
  });

/** The same for routes with query parameters, each of which is sent once. */
export const observedWithQuery = (
  metrics: Metrics,
  path: string,
  handler: (context: ContextWithQuery) => unknown,
) =>
  observing(metrics, path, (context) => {
    // Not Elysia's `query`: it looks for the first `?` after the eleventh character of the whole address.
    const read = queryOf(context.request.url);
    return "problem" in read ? read.problem : handler({ ...context, ...read });
  });

/**
 * The same for probes, metrics and pages, whatever the query is: load balancers, scrapers (`collect[]=a&collect[]=b`)
 * and caches add parameters of their own.
 */
export const observedWithAnyQuery = (
  metrics: Metrics,
  path: string,
  handler: (context: Context) => unknown,
) => observing(metrics, path, handler);

function observing(metrics: Metrics, path: string, handler: (context: Context) => unknown) {
  // Takes apart what it needs: given the whole context, Elysia would prepare all of it (78 instead of 70 µs a hold).
  const answering = async ({ request, params, server }: Context): Promise<Response> => {
    const answer = await handler({ request, params, server });
    const response = answer instanceof Response ? answer : Response.json(answer);
    response.headers.set("x-request-id", requestIdOf(request));
    metrics.httpRequests.inc({ route: path, method: request.method, status: response.status });
    return response;
  };
  return [path, answering] as const;
}
