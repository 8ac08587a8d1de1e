import type { AnyElysia } from "elysia";
import {
  againstTheRules,
  crossSiteExamples,
  requestIdHeader,
  requestIdParameter,
  tooLarge,
} from "./openapi.ts";

type Routes = AnyElysia["routes"];

interface Answer {
  description?: string;
  headers?: Record<string, object>;
  content?: Record<string, { examples?: Record<string, object> }>;
}

interface Operation {
  summary?: string;
  description?: string;
  security?: readonly object[];
  parameters?: object[];
  responses?: Record<string, Answer>;
}

/** A body is not read for these, of whatever size. */
const WITHOUT_BODY = ["get", "head"];

/**
 * The routes that have a `detail`, as paths of the OpenAPI document: the detail as it was written, and with it
 * what is true of every route. The plugin's own paths put one text parameter a place in the path instead of the
 * detail's parameters, and so lose every header, query and bound of such a route.
 */
export function documentedPaths(
  routes: Routes,
  { requireApiKey }: { requireApiKey: boolean },
): Record<string, Record<string, Operation>> {
  const paths: Record<string, Record<string, Operation>> = {};
  for (const { path, method, hooks } of routes) {
    const detail: Operation | undefined = hooks?.detail;
    if (!detail?.responses) continue;
    const documented = path.replace(/:(\w+)/g, "{$1}");
    paths[documented] ??= {};
    paths[documented][method.toLowerCase()] = withKey(
      withShared(detail, method.toLowerCase()),
      requireApiKey,
    );
  }
  return paths;
}

function withShared(detail: Operation, method: string): Operation {
  const responses: NonNullable<Operation["responses"]> = {};
  for (const [status, response] of Object.entries(detail.responses ?? {})) {
    responses[status] = { ...response, headers: { ...requestIdHeader, ...response.headers } };
  }
  responses[400] ??= againstTheRules;
  if (!WITHOUT_BODY.includes(method)) {
    responses[413] = tooLarge;
    if (responses[403]) responses[403] = withCrossSite(responses[403]);
  }
  return { ...detail, parameters: [...(detail.parameters ?? []), requestIdParameter], responses };
}

function withCrossSite({ content = {}, ...answer }: Answer): Answer {
  const shown = Object.entries(content).map(([type, each]) => [
    type,
    { ...each, examples: { ...each.examples, ...crossSiteExamples } },
  ]);
  return { ...answer, content: Object.fromEntries(shown) };
}

/** Marks an operation that this engine refuses without a key, in the summary that a list of operations shows. */
function withKey(operation: Operation, requireApiKey: boolean): Operation {
  const { security, summary = "", description } = operation;
  if (!security) return operation;
  const asked = requireApiKey ? security.filter((scheme) => Object.keys(scheme).length > 0) : security;
  if (asked.length < security.length || asked.every((scheme) => Object.keys(scheme).length > 0)) {
    const told = ["Needs an API key.", ...(description ? [description] : [])].join(" ");
    return { ...operation, security: asked, summary: `${summary} (needs an API key)`, description: told };
  }
  return operation;
}
