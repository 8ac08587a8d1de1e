import { dirname } from "node:path";
import { openapi } from "@elysiajs/openapi";
import { type AnyElysia, Elysia } from "elysia";
import { securitySchemes } from "./access/openapi.ts";
import { allowedMethods } from "./http/allowed-methods.ts";
import { documentedPaths } from "./http/document.ts";
import type { LastResponses } from "./http/last-responses.ts";
import { jsonResponse } from "./http/openapi.ts";
import { problem } from "./http/problem.ts";
import { requestIdOf } from "./http/request-id.ts";
import { pathOf } from "./http/request-path.ts";
import { type Logger, messageOf } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import { observed } from "./telemetry/observed.ts";

const DOCS_PATH = "/docs";
/** Longest part of an unknown path that is repeated to whoever asked for it. */
const SHOWN_PATH_LIMIT = 200;
/** The pages' assets come from this process, so that the docs work without the internet. */
const SWAGGER_FOLDER = dirname(Bun.resolveSync("swagger-ui-dist/package.json", import.meta.dir));

/** What somebody who has nothing but the address is told: those of these that the port has. */
const PLACES = { events: "/api/v1/events", health: "/actuator/health", metrics: "/metrics" };
const linksDetail = (example: object) => ({
  operationId: "links",
  tags: ["Operations"],
  summary: "Where to look",
  responses: {
    200: jsonResponse(
      "Addresses on this server.",
      { type: "object", additionalProperties: { type: "string" } },
      { ...example, version: "0.1.0" },
    ),
  },
});

const TAGS = [
  { name: "Bookings", description: "Taking seats." },
  { name: "Reservations", description: "Seats held for a while, then confirmed or let go." },
  { name: "Events", description: "What is on sale, and what is left of it." },
  { name: "Seats", description: "Looking at seats." },
  { name: "Administration", description: "Making events and changing them." },
  { name: "API keys", description: "Who may do what." },
  { name: "Operations", description: "Probes and metrics." },
];

export interface AppOptions {
  version: string;
  /** Each controller is an Elysia instance of its own. */
  controllers: AnyElysia[];
  lastResponses: LastResponses;
  log: Logger;
  metrics: Metrics;
}

/** All of HTTP put together: the controllers, the API's document, and one answer for what goes wrong. */
export function createApp({ version, controllers, lastResponses, log, metrics }: AppOptions) {
  const paths: ReturnType<typeof documentedPaths> = {};
  const routes = controllers.flatMap((controller) => controller.routes);
  const usedTags = new Set(["Operations", ...routes.flatMap(({ hooks }) => hooks?.detail?.tags ?? [])]);
  const places = Object.entries(PLACES).filter(([, place]) => routes.some(({ path }) => path === place));
  const links = {
    ...{ name: "Sentinel", docs: DOCS_PATH, openapi: "/openapi.json" },
    ...Object.fromEntries(places),
  };
  const app: AnyElysia = new Elysia({ name: "app" })
    .onError(({ code, error, request, route }) => {
      const requestId = requestIdOf(request);
      const headers = { "x-request-id": requestId };
      const answer = code === "NOT_FOUND" ? noRoute(app.routes, request, headers) : problemOf(code, headers);
      if (answer.status >= 500) {
        log.error({ requestId, route, error: messageOf(error) }, "a request failed");
      }
      metrics.httpRequests.inc({ route: route || "none", method: request.method, status: answer.status });
      return answer;
    })
    .use(
      openapi({
        path: DOCS_PATH,
        specPath: "/openapi.json",
        provider: "swagger-ui",
        openapiVersion: "3.1.1",
        exclude: {
          paths: [
            DOCS_PATH,
            `${DOCS_PATH}/swagger-ui.css`,
            `${DOCS_PATH}/swagger-ui-bundle.js`,
            "/openapi.json",
          ],
        },
        swagger: { cdn: `${DOCS_PATH}/swagger-ui-bundle.js`, theme: `${DOCS_PATH}/swagger-ui.css` },
        documentation: {
          info: {
            title: "Sentinel",
            version,
            description: "Sells seats when everybody wants the same ones at the same moment.",
            license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
          },
          components: { securitySchemes },
          paths,
          tags: TAGS.filter(({ name }) => usedTags.has(name)),
        },
      }),
    )
    .get(...observed(metrics, "/", () => ({ ...links, version })), { detail: linksDetail(links) })
    .get(`${DOCS_PATH}/swagger-ui.css`, () => Bun.file(`${SWAGGER_FOLDER}/swagger-ui.css`))
    .get(`${DOCS_PATH}/swagger-ui-bundle.js`, () => Bun.file(`${SWAGGER_FOLDER}/swagger-ui-bundle.js`));
  for (const controller of controllers) app.use(controller);
  Object.assign(paths, documentedPaths(app.routes));
  return lastResponses.around(app);
}

function noRoute(routes: AnyElysia["routes"], request: Request, headers: Record<string, string>): Response {
  const path = pathOf(request);
  const allow = allowedMethods(routes, path);
  if (allow === undefined) {
    const shown = path.slice(0, SHOWN_PATH_LIMIT);
    return problem("not-found", `There is no route ${request.method} ${shown}.`, headers);
  }
  return problem("method-not-allowed", `${request.method} is not for this address; ${allow} may be used.`, {
    ...headers,
    allow,
  });
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
