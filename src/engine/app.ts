import { openapi } from "@elysiajs/openapi";
import { type AnyElysia, Elysia } from "elysia";
import { securitySchemes } from "../access/openapi.ts";
import { START } from "../config/command-line.ts";
import type { Config } from "../config/config.ts";
import { CrossOrigin } from "../http/cross-origin.ts";
import { documentedPaths } from "../http/document.ts";
import type { LastResponses } from "../http/last-responses.ts";
import { noRoute } from "../http/no-route.ts";
import { problem } from "../http/problem.ts";
import { requestIdOf } from "../http/request-id.ts";
import { type Handler, RequestRules } from "../http/request-rules.ts";
import { type Logger, messageOf } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { DOCS_PATH, pageRoutes } from "./pages.ts";

const SPEC_PATH = "/openapi.json";
/** Routes without a `detail`, which the plugin would describe anyway. */
const UNDOCUMENTED = [DOCS_PATH, `${DOCS_PATH}/*`, SPEC_PATH, /^\/favicon\./];
/** The links of the first page, if the port has these routes. */
const PLACES = { events: "/api/v1/events", health: "/actuator/health", metrics: "/metrics" };
const TAGS = [
  { name: "Bookings", description: "Taking seats." },
  { name: "Reservations", description: "Seats held for a while, then confirmed or let go." },
  { name: "Events", description: "What is on sale, and what is left of it." },
  { name: "Seats", description: "Looking at seats." },
  { name: "Administration", description: "Making events and changing them." },
  { name: "API keys", description: "Who may do what." },
  { name: "Operations", description: "Probes and metrics." },
];

/** The first words of the document, and of its page. */
const description = (
  requireApiKey: boolean,
) => `Sells seats when everybody wants the same ones at the same moment.

**API keys.** ${
  requireApiKey
    ? "This engine asks for a key everywhere but at the probes, metrics and these pages."
    : "This engine needs no key, except where an operation says so."
} The first key is made in the engine's folder, with \`${START} keys create --role admin\`, which
prints it once. An admin makes more with \`POST /api/v1/admin/api-keys\`. To use one here, press **Authorize** and paste it
under \`bearer\` or \`apiKey\`, not both. An operation that needs a key has a lock beside it, which is open until
you have given a key here and closed from then on.

**Addresses** are exact and do not end with a slash (308 leads to the address without it). An operation accepts only the
query parameters that it lists, each once; probes, metrics and these pages accept any. A page of another origin can change
something only if the engine allows its origin.`;

/** A path whose handlers get the request as it comes, without Elysia's context. */
export interface DirectRoute {
  path: string;
  /** A response that changes nothing and may be sent before the rules for requests are checked; undefined if there is none. */
  atOnce?: (request: Bun.BunRequest<string>) => Response | undefined;
}

export interface AppOptions {
  version: string;
  /** Each controller is an Elysia instance of its own. */
  controllers: AnyElysia[];
  lastResponses: LastResponses;
  direct: readonly DirectRoute[];
  config: Pick<Config, "bodyLimitBytes" | "corsOrigins" | "requireApiKey">;
  log: Logger;
  metrics: Metrics;
}

/** All of HTTP put together: the controllers, the API's document, and one answer for what goes wrong. */
export function createApp({ version, controllers, direct, lastResponses, config, log, metrics }: AppOptions) {
  const paths: ReturnType<typeof documentedPaths> = {};
  const routes = controllers.flatMap((controller) => controller.routes);
  const usedTags = new Set(["Operations", ...routes.flatMap(({ hooks }) => hooks?.detail?.tags ?? [])]);
  const places = Object.entries(PLACES).filter(([, place]) => routes.some(({ path }) => path === place));
  const links = {
    ...{ docs: DOCS_PATH, openapi: SPEC_PATH },
    ...Object.fromEntries(places),
  };
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
    // Bun routes by the bytes of the path. Elysia's own router, which Bun would ask about every other path, reads
    // the path out of an address that depends on the Host header and has `..` and `\\` resolved; it is never asked.
    serve: { routes: { ...directRoutes(routes, direct, underRules, before), "/*": withoutRoute } },
  })
    // Not a hook: with any hook Elysia prepares its whole context for every route.
    .wrap(handlerOf as never)
    .onError(({ code, error, request, route }) => {
      const requestId = requestIdOf(request);
      const headers = { "x-request-id": requestId };
      const answer = problemOf(code, headers);
      if (answer.status >= 500) {
        log.error({ requestId, route, error: messageOf(error) }, "a request failed");
      }
      metrics.httpRequests.inc({ route: route || "none", method: request.method, status: answer.status });
      return answer;
    })
    .use(
      openapi({
        // The page is in pages.ts.
        provider: null,
        specPath: SPEC_PATH,
        openapiVersion: "3.1.1",
        exclude: { paths: UNDOCUMENTED },
        documentation: {
          info: {
            title: "Sentinel",
            version,
            description: description(config.requireApiKey),
            license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
          },
          components: { securitySchemes },
          paths,
          tags: TAGS.filter(({ name }) => usedTags.has(name)),
        },
      }),
    )
    .use(pageRoutes(links, version, metrics));
  for (const controller of controllers) app.use(controller);
  Object.assign(paths, documentedPaths(app.routes, config));
  return app;
}

type DirectHandler = (context: {
  request: Request;
  params: Record<string, string>;
}) => Response | Promise<Response>;

function directRoutes(
  routes: AnyElysia["routes"],
  direct: readonly DirectRoute[],
  underRules: (handler: Handler) => Handler,
  before: (route: DirectRoute, handler: Handler) => Handler,
): Record<string, Record<string, Handler>> {
  const found = direct.flatMap((each) =>
    routes.filter(({ path }) => path === each.path).map((route) => ({ ...route, each })),
  );
  return Object.fromEntries(
    found.map(({ path, method, handler, each }) => {
      const ruled = underRules((request) =>
        (handler as DirectHandler)({ request, params: (request as Bun.BunRequest<string>).params }),
      );
      return [path, { [method]: before(each, ruled) }];
    }),
  );
}

function problemOf(code: string | number, headers: Record<string, string>): Response {
  switch (code) {
    case "PARSE":
    case "VALIDATION":
    case "INVALID_FILE_TYPE":
      return problem("invalid-request", "The request body or a parameter could not be read.", headers);
    default:
      return problem("internal-error", "The fault is logged under this X-Request-Id.", headers);
  }
}
