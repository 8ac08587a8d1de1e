import { UNKNOWN } from "./faults.ts";
import { invalid, type ProblemResponse } from "./problem.ts";

type Read = { query: Record<string, string> } | { problem: Response };

const NONE: Read = { query: {} };

/** The query parameters of an address, or the problem with one that was sent twice. */
export function queryOf(url: string): Read {
  if (!url.includes("?")) return NONE;
  const query: Record<string, string> = {};
  for (const [name, value] of parametersIn(url)) {
    if (name === "") return { problem: invalid("query", [{ path: [], message: UNKNOWN }]) };
    if (Object.hasOwn(query, name))
      return { problem: invalid("query", [{ path: [name], message: "must be sent once" }]) };
    Object.defineProperty(query, name, { value, enumerable: true });
  }
  return { query };
}

/** The problem that names every query parameter of an address; undefined if it has none. */
export function refusalOfParameters(
  url: string,
  message: string,
): ProblemResponse<"invalid-request"> | undefined {
  if (!url.includes("?")) return undefined;
  const names = new Set(parametersIn(url).keys());
  const faults = Array.from(names, (name) => ({ path: name === "" ? [] : [name], message }));
  return faults.length > 0 ? invalid("query", faults) : undefined;
}

const parametersIn = (url: string): URLSearchParams =>
  new URLSearchParams(url.slice(url.indexOf("?") + 1).split("#", 1)[0]);
