import { type AnyElysia, Elysia } from "elysia";
import type { Config } from "../config/config.ts";
import { CrossOrigin } from "../http/cross-origin.ts";
import type { LastResponses } from "../http/last-responses.ts";
import { noRoute } from "../http/no-route.ts";
import { invalidValue, problem } from "../http/problem.ts";
import { requestIdOf } from "../http/request-id.ts";
import { type Handler, RequestRules } from "../http/request-rules.ts";
import type { Route, RouteContext, Serve } from "../http/route.ts";
import { type Logger, messageOf } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { pageRoutes } from "./pages.ts";

/** A path whose handlers get the request as it comes, without Elysia's context. */
export interface DirectRoute {
  path: string;
  /** A response that changes nothing and may be sent before the rules for requests are checked; undefined if there is none. */
  atOnce?: (request: Bun.BunRequest<string>) => Response | undefined;
}

export interface AppOptions {
  version: string;
  /** Operations of the API; those of the pages come with every app. */
  routes: readonly Route[];
  serve: Serve;
  lastResponses: LastResponses;
  direct: readonly DirectRoute[];
  config: Pick<Config, "bodyLimitBytes" | "corsOrigins" | "requireApiKey">;
  log: Logger;
  metrics: Metrics;
}

/** Puts all of HTTP together: the routes, the pages with the API's document, and one answer for every error. */
export function createApp({
  version,
  routes: operations,
  serve,
  direct,
  lastResponses,
  config,
  log,
  metrics,
}: AppOptions) {
  const contracts = operations.map(({ contract }) => contract);
  const { requireApiKey } = config;
  const routes = [...operations, ...pageRoutes(serve, { version, contracts, requireApiKey })];
  const crossOrigin = new CrossOrigin(config.corsOrigins);
  const rules = new RequestRules({
    crossOrigin,
    bodyLimitBytes: config.bodyLimitBytes,
    onRefused: ({ method }, { status }) => metrics.httpRequests.inc({ route: "none", method, status }),
  });
  const handlerOf = (handler: Handler, request: Request) =>
    lastResponses.handlerOf(rules.handlerOf(handler, request), request);
  const underRules =
    (handler: Handler): Handler =>
    (request) =>
      handlerOf(handler, request)(request);
  const before = ({ atOnce }: DirectRoute, handler: Handler): Handler => {
    // A response to an allowed origin needs its CORS headers, which the rules add.
    if (!atOnce || crossOrigin.isConfigured) return handler;
    return (request) => {
      const response = atOnce(request as Bun.BunRequest<string>);
      return response ? lastResponses.announce(response, request) : handler(request);
    };
  };
  const unrouted: Handler = (request) => {
    const response = noRoute(app.routes, crossOrigin, request);
    metrics.httpRequests.inc({ route: "none", method: request.method, status: response.status });
    return response;
  };
  const withoutRoute: Handler = (request) =>
    lastResponses.handlerOf(rules.unroutedHandlerOf(unrouted, request), request)(request);
  const app: AnyElysia = new Elysia({
    name: "app",
    // Bun routes by the bytes of the path. Elysia's own router would decide about every other path, so it is never
    // asked: it reads the path out of an address that depends on the Host header and has `..` and `\\` resolved.
    serve: { routes: { ...directRoutes(routes, direct, underRules, before), "/*": withoutRoute } },
  })
    // This is not a hook: with any hook Elysia prepares its whole context for every route.
    .wrap(handlerOf as never)
    .onError(({ code, error, request, route }) => {
      const requestId = requestIdOf(request);
      const headers = { "x-request-id": requestId };
      const answer = responseTo(code, headers);
      if (answer.status >= 500) {
        log.error({ requestId, route, error: messageOf(error) }, "a request failed");
      }
      metrics.httpRequests.inc({ route: route || "none", method: request.method, status: answer.status });
      return answer;
    });
  for (const { contract, handler } of routes) {
    // Elysia infers from the written parameter names what to prepare for a handler.
    const serve = ({ request, params, server }: RouteContext) => handler({ request, params, server });
    app.route(contract.method, contract.path, serve as never, { parse: "none" } as never);
  }
  return app;
}

function directRoutes(
  routes: readonly Route[],
  direct: readonly DirectRoute[],
  underRules: (handler: Handler) => Handler,
  before: (route: DirectRoute, handler: Handler) => Handler,
): Record<string, Record<string, Handler>> {
  const found = direct.flatMap((each) =>
    routes.filter(({ contract }) => contract.path === each.path).map((route) => ({ ...route, each })),
  );
  return Object.fromEntries(
    found.map(({ contract, handler, each }) => {
      const ruled = underRules((request) =>
        handler({ request, params: (request as Bun.BunRequest<string>).params, server: null }),
      );
      return [contract.path, { [contract.method]: before(each, ruled) }];
    }),
  );
}

function responseTo(code: string | number, headers: Record<string, string>): Response {
  switch (code) {
    case "PARSE":
    case "VALIDATION":
    case "INVALID_FILE_TYPE":
      return invalidValue("body", "", "could not be read", headers);
    default:
      return problem("internal-error", "The fault is logged under this X-Request-Id.", headers);
  }
}
