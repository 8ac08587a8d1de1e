import { allowedMethods } from "./allowed-methods.ts";
import type { CrossOrigin } from "./cross-origin.ts";
import { problem } from "./problem.ts";
import { requestIdOf } from "./request-id.ts";
import { pathOf } from "./request-path.ts";

/** Longest part of an unknown path that is repeated in the response. */
const SHOWN_PATH_LIMIT = 200;

type Routes = readonly { method: string; path: string }[];

/**
 * Returns the response if no route has exactly the path and the method of the request. It is a preflight's
 * response; 405 with `Allow`; 308 for a path with an extra slash at its end; otherwise 404.
 */
export function noRoute(routes: Routes, crossOrigin: CrossOrigin, request: Request): Response {
  const path = pathOf(request);
  const allow = allowedMethods(routes, path);
  const headers = { "x-request-id": requestIdOf(request) };
  const preflight = crossOrigin.preflight(request, allow);
  if (preflight) return preflight;
  // Bun shows `/a/../b` and `/a\\b` in resolved form, but routes by the bytes that were sent, which match no route.
  if (allow !== undefined && !allow.split(", ").includes(request.method)) {
    const detail = `${request.method} is not for this address; ${allow} may be used.`;
    return problem("method-not-allowed", detail, { ...headers, allow });
  }
  const withoutSlash = path.endsWith("/") ? path.slice(0, -1) : "";
  if (allowedMethods(routes, withoutSlash) !== undefined) {
    const query = /\?[^#]*/.exec(request.url)?.[0] ?? "";
    const detail = `Addresses here end without a slash: use ${withoutSlash.slice(0, SHOWN_PATH_LIMIT)}.`;
    return problem("moved", detail, { ...headers, location: withoutSlash + query });
  }
  return problem(
    "not-found",
    `There is no route ${request.method} ${path.slice(0, SHOWN_PATH_LIMIT)}.`,
    headers,
  );
}
