import { dirname } from "node:path";
import { START } from "../config/command-line.ts";
import { CompressedText } from "../http/compressed-text.ts";
import { type Contract, reply } from "../http/contract.ts";
import { documentOf } from "../http/document.ts";
import { errorCatalogue } from "../http/error-catalogue.ts";
import { ERRORS_PATH } from "../http/problems.ts";
import type { Route, Serve } from "../http/route.ts";
import { start } from "./operations-contract.ts";

const DOCS_PATH = "/docs";
const SPEC_PATH = "/openapi.json";
/** The links of the first page. Each is shown only if the port has the route. */
const PLACES = { events: "/api/v1/events", health: "/actuator/health", metrics: "/metrics" };
/** Folder of the assets. This process serves them itself, so that the docs work without the internet. */
const SWAGGER_FOLDER = dirname(Bun.resolveSync("swagger-ui-dist/package.json", import.meta.dir));

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1b4d89"/><path d="M4 3h2v5h4V3h2v10h-2v-3H6v3H4z" fill="#fff"/></svg>`;

const TEXTS: Record<string, string> = {
  docs: "API documentation, with a form to try each operation",
  openapi: "the same as OpenAPI 3.1, for tools",
  errors: "every error, and what to do about it",
  events: "events on sale",
  health: "which parts answer",
  metrics: "metrics for Prometheus",
};

const STYLE =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}code{background:#eee;padding:.1em .3em}@media(prefers-color-scheme:dark){body{background:#222;color:#eee}a{color:#8ab4f8}code{background:#333}}";

/** Builds a page. Every link is relative, so that a proxy may serve the engine under a prefix. */
const htmlPage = (title: string, head: string, body: string, root = "") => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="${root}favicon.svg" type="image/svg+xml">
${head}
</head>
<body>
${body}
</body>
</html>
`;

/** The introduction of the document and of its page. */
const description = (
  requireApiKey: boolean,
) => `Sells seats when everybody wants the same ones at the same moment.

**API keys.** ${
  requireApiKey
    ? "This engine requires a key everywhere except for probes, metrics and these pages."
    : "This engine needs no key, except where an operation says so."
} Make the first key in the engine's folder with \`${START} keys create --role admin\`, which
prints it once. An admin makes more with \`POST /api/v1/admin/api-keys\`. To use one here, press **Authorize** and paste it
under \`bearer\` or \`apiKey\`, not both. An operation that needs a key has a lock beside it, which closes when
you have entered a key here.

**Errors** are problems (RFC 9457), distinguished by \`type\`; [all of them](docs/errors) say what to do.

**Addresses** are exact and do not end with a slash (308 leads to the address without it). An operation accepts only the
query parameters that it lists, each once; probes, metrics and these pages accept any. A page of another origin can change
something only if the engine allows its origin.`;

const swagger = JSON.stringify({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  ...{ deepLinking: true, displayRequestDuration: true, persistAuthorization: true, tryItOutEnabled: true },
});

/**
 * A plugin for Swagger UI that runs in the page. By default Swagger UI shows a closed lock where a key is optional, and
 * an open one where it is required. With the plugin only required keys have a lock, and it closes when the page has a
 * key.
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

/** The contract of a page or asset, which the API's document leaves out. */
const pageContract = (path: string): Contract => ({
  ...{ method: "GET", path, operationId: path, tag: "Operations", summary: path, description: path },
  ...{ query: "any", responses: {}, problems: [], isHidden: true },
});

export interface PageOptions {
  version: string;
  /** The contracts of the port's routes, which the document describes. */
  contracts: readonly Contract[];
  requireApiKey: boolean;
}

/** Serves the first page, the docs and the document, for a person or a tool that knows only the address. */
export function pageRoutes(serve: Serve, { version, contracts, requireApiKey }: PageOptions): Route[] {
  const places = Object.entries(PLACES).filter(([, place]) => contracts.some(({ path }) => path === place));
  const links = { docs: DOCS_PATH, openapi: SPEC_PATH, errors: ERRORS_PATH, ...Object.fromEntries(places) };
  const page = startPage(links, version);
  const spec = new CompressedText(() =>
    JSON.stringify(
      documentOf([start, ...contracts], { version, requireApiKey, description: description(requireApiKey) }),
    ),
  );
  const serveAt = (path: string, answer: (request: Request) => Response) =>
    serve(pageContract(path), ({ request }) => answer(request));
  return [
    serve(start, ({ request }) => {
      const vary = { vary: "Accept" };
      return asksForHtml(request)
        ? html(page, vary)
        : reply(start, 200, { name: "Sentinel", ...links, version }, vary);
    }),
    serveAt(SPEC_PATH, (request) => spec.answer(request, "application/json")),
    serveAt(DOCS_PATH, () => html(DOCS_PAGE)),
    serveAt(ERRORS_PATH, (request) =>
      asksForHtml(request)
        ? html(errorsPage(), { vary: "Accept" })
        : Response.json(errorCatalogue(), { headers: { vary: "Accept" } }),
    ),
    serveAt(`${DOCS_PATH}/swagger-ui.css`, asset("swagger-ui.css")),
    serveAt(`${DOCS_PATH}/swagger-ui-bundle.js`, asset("swagger-ui-bundle.js")),
    serveAt("/favicon.svg", icon),
    serveAt("/favicon.ico", icon),
  ];
}

const asksForHtml = ({ headers }: Request) => headers.get("accept")?.includes("text/html") ?? false;

/** Builds the page of all problems. The `help` of a problem links to its part of the page. */
const errorsPage = () =>
  htmlPage(
    "Sentinel: errors",
    `<style>${STYLE}</style>`,
    [
      "<h1>Errors</h1>",
      `<p>Errors are <code>application/problem+json</code> (RFC 9457). Distinguish them by <code>type</code>.</p>`,
      ...errorCatalogue().errors.map(
        ({ slug, type, status, title, members, when, action }) => `<h2 id="${slug}">${status}: ${title}</h2>
<p><code>${type}</code></p>
<p>${marked(when)}</p>
<p>What to do: ${marked(action)}</p>
${members.length > 0 ? `<p>Members: ${members.map((name) => `<code>${name}</code>`).join(", ")}</p>` : ""}`,
      ),
    ].join("\n"),
    "../",
  );

/** Converts text with `code` in it to HTML. */
const marked = (text: string) => Bun.escapeHTML(text).replace(/`([^`]+)`/g, "<code>$1</code>");
