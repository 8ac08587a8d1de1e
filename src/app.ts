import { dirname } from "node:path";
import { openapi } from "@elysiajs/openapi";
import { type AnyElysia, Elysia } from "elysia";
import { problem } from "./http/problem.ts";
import { requestIdOf } from "./http/request-id.ts";
import type { Logger } from "./telemetry/log.ts";

const DOCS_PATH = "/docs";
/** The pages' assets come from this process, so that the docs work without the internet. */
const SWAGGER_FOLDER = dirname(Bun.resolveSync("swagger-ui-dist/package.json", import.meta.dir));

export interface AppOptions {
  version: string;
  /** Each controller is an Elysia instance of its own. */
  controllers: AnyElysia[];
  log: Logger;
}

/** All of HTTP put together: the controllers, the API's document, and one answer for what goes wrong. */
export function createApp({ version, controllers, log }: AppOptions) {
  const app = new Elysia({ name: "app" })
    .onError(({ code, error, request }) => {
      const requestId = requestIdOf(request);
      const headers = { "x-request-id": requestId };
      const path = new URL(request.url).pathname;
      if (code === "NOT_FOUND")
        return problem("not-found", `There is no route ${request.method} ${path}.`, headers);
      if (code === "PARSE" || code === "VALIDATION" || code === "INVALID_FILE_TYPE") {
        return problem("invalid-request", "The request body or a parameter could not be read.", headers);
      }
      log.error(
        { requestId, path, error: error instanceof Error ? error.message : String(error) },
        "a request failed",
      );
      return problem("internal-error", "The fault is logged under this X-Request-Id.", headers);
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
