import { dirname } from "node:path";
import { openapi } from "@elysiajs/openapi";
import { type AnyElysia, Elysia } from "elysia";
import { problem } from "./http/problem.ts";
import { requestIdOf } from "./http/request-id.ts";
import { type Logger, messageOf } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

const DOCS_PATH = "/docs";
/** The pages' assets come from this process, so that the docs work without the internet. */
const SWAGGER_FOLDER = dirname(Bun.resolveSync("swagger-ui-dist/package.json", import.meta.dir));

export interface AppOptions {
  version: string;
  /** Each controller is an Elysia instance of its own. */
  controllers: AnyElysia[];
  log: Logger;
  metrics: Metrics;
}

/** All of HTTP put together: the controllers, the API's document, and one answer for what goes wrong. */
export function createApp({ version, controllers, log, metrics }: AppOptions) {
  const app = new Elysia({ name: "app" })
    .onError(({ code, error, request, route }) => {
      const requestId = requestIdOf(request);
      const answer = problemOf(code, request, { "x-request-id": requestId });
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
          tags: [
            { name: "Bookings", description: "Taking seats." },
            { name: "Seats", description: "Looking at seats." },
            { name: "Operations", description: "Probes and metrics." },
          ],
        },
      }),
    )
    .get(`${DOCS_PATH}/swagger-ui.css`, () => Bun.file(`${SWAGGER_FOLDER}/swagger-ui.css`))
    .get(`${DOCS_PATH}/swagger-ui-bundle.js`, () => Bun.file(`${SWAGGER_FOLDER}/swagger-ui-bundle.js`));
  for (const controller of controllers) app.use(controller);
  return app;
}

function problemOf(code: string | number, request: Request, headers: Record<string, string>): Response {
  switch (code) {
    case "NOT_FOUND":
      return problem(
        "not-found",
        `There is no route ${request.method} ${new URL(request.url).pathname}.`,
        headers,
      );
    case "PARSE":
    case "VALIDATION":
    case "INVALID_FILE_TYPE":
      return problem("invalid-request", "The request body or a parameter could not be read.", headers);
    default:
      return problem("internal-error", "The fault is logged under this X-Request-Id.", headers);
  }
}
