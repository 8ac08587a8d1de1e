import { requestIdOf } from "../http/request-id.ts";
import type { Metrics } from "./metrics.ts";

/** What a handler off the hot path may ask of Elysia's context. */
interface Context {
  request: Request;
  params: { seatId?: string };
  query: Record<string, string>;
}

/**
 * A path and its handler, for routes off the hot path: the request's id goes out with the answer, and the
 * answer is counted. Not as a hook: one hook anywhere makes Elysia prepare its context for every route, the
 * reserve route too, which does both for itself.
 */
export function observed(metrics: Metrics, path: string, handler: (context: Context) => unknown) {
  const observing = async (context: Context): Promise<Response> => {
    const answer = await handler(context);
    const response = answer instanceof Response ? answer : Response.json(answer);
    response.headers.set("x-request-id", requestIdOf(context.request));
    metrics.httpRequests.inc({ route: path, method: context.request.method, status: response.status });
    return response;
  };
  return [path, observing] as const;
}
