import { dirname } from "node:path";
import { Elysia } from "elysia";
import { observedWithAnyQuery } from "../http/observed.ts";
import { jsonResponse } from "../http/openapi.ts";
import type { Metrics } from "../telemetry/metrics.ts";

export const DOCS_PATH = "/docs";
/** The assets come from this process, so that the docs work without the internet. */
const SWAGGER_FOLDER = dirname(Bun.resolveSync("swagger-ui-dist/package.json", import.meta.dir));

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1b4d89"/><path d="M4 3h2v5h4V3h2v10h-2v-3H6v3H4z" fill="#fff"/></svg>`;

const TEXTS: Record<string, string> = {
  docs: "API documentation, with a form to try each operation",
  openapi: "the same as OpenAPI 3.1, for tools",
  events: "events on sale",
  health: "which parts answer",
  metrics: "metrics for Prometheus",
};

const STYLE =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}code{background:#eee;padding:.1em .3em}@media(prefers-color-scheme:dark){body{background:#222;color:#eee}a{color:#8ab4f8}code{background:#333}}";

/** Every link is relative, so that a proxy may serve the engine under a prefix. */
const htmlPage = (title: string, head: string, body: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="favicon.svg" type="image/svg+xml">
${head}
</head>
<body>
${body}
</body>
</html>
`;

const swagger = JSON.stringify({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  ...{ deepLinking: true, displayRequestDuration: true, persistAuthorization: true, tryItOutEnabled: true },
});

/**
 * A plugin of Swagger UI, run in the page. By itself Swagger UI shows a closed lock where a key may be sent and need not
 * be, and an open one where it must: only the latter keep theirs, which closes when the page has a key.
 */
const LOCKS = `{
  wrapComponents: {
    OperationSummary: (Summary, { React }) => (props) => {
      const { operationProps } = props;
      const isOptional = operationProps.get("security")?.some((scheme) => scheme.isEmpty());
      const shown = isOptional ? { operationProps: operationProps.delete("security") } : {};
      return React.createElement(Summary, { ...props, ...shown });
    },
  },
}`;

const DOCS_PAGE = htmlPage(
  "Sentinel: API documentation",
  `<link rel="stylesheet" href="docs/swagger-ui.css">`,
  `<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({ ...${swagger}, plugins: [${LOCKS}] });</script>`,
);

type Links = Record<string, string>;

function startPage(links: Links, version: string): string {
  const items = Object.entries(links)
    .filter(([name]) => name in TEXTS)
    .map(([name, path]) => `<li><a href="${path.slice(1)}">${path}</a>: ${TEXTS[name]}</li>`);
  return htmlPage(
    "Sentinel",
    `<style>${STYLE}</style>`,
    `<h1>Sentinel ${version}</h1>
<p>Sells seats when everybody wants the same ones at the same moment.</p>
<ul>
${items.join("\n")}
</ul>`,
  );
}

const html = (text: string, headers: Record<string, string> = {}) =>
  new Response(text, { headers: { "content-type": "text/html; charset=utf-8", ...headers } });
const asset = (name: string) => () => new Response(Bun.file(`${SWAGGER_FOLDER}/${name}`));
const icon = () =>
  new Response(ICON, { headers: { "content-type": "image/svg+xml", "cache-control": "max-age=86400" } });

const linksDetail = (example: object) => ({
  operationId: "links",
  tags: ["Operations"],
  summary: "Where to look",
  responses: {
    200: jsonResponse(
      "Addresses on this server; to a browser (`Accept: text/html`) a page with the same.",
      { type: "object", additionalProperties: { type: "string" } },
      { ...example, version: "0.1.0" },
    ),
  },
});

/** The pages for a person who has nothing but the address: the first page, the docs, their assets and the icon. */
export function pageRoutes(links: Links, version: string, metrics: Metrics) {
  const page = startPage(links, version);
  const start = ({ request }: { request: Request }) => {
    const vary = { vary: "Accept" };
    const isBrowser = request.headers.get("accept")?.includes("text/html") ?? false;
    return isBrowser
      ? html(page, vary)
      : Response.json({ name: "Sentinel", ...links, version }, { headers: vary });
  };
  return new Elysia({ name: "pages" })
    .get(...observedWithAnyQuery(metrics, "/", start), {
      detail: linksDetail({ name: "Sentinel", ...links }),
    })
    .get(...observedWithAnyQuery(metrics, DOCS_PATH, () => html(DOCS_PAGE)))
    .get(...observedWithAnyQuery(metrics, `${DOCS_PATH}/swagger-ui.css`, asset("swagger-ui.css")))
    .get(...observedWithAnyQuery(metrics, `${DOCS_PATH}/swagger-ui-bundle.js`, asset("swagger-ui-bundle.js")))
    .get(...observedWithAnyQuery(metrics, "/favicon.svg", icon))
    .get(...observedWithAnyQuery(metrics, "/favicon.ico", icon));
}
