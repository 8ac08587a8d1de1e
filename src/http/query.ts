import { UNKNOWN } from "./faults.ts";
import { invalid } from "./problem.ts";

type Read = { query: Record<string, string> } | { problem: Response };

const NONE: Read = { query: {} };
const SHOWN_NAME_LIMIT = 60;

/** The query parameters of an address, or the problem with one that was sent twice. */
export function queryOf(url: string): Read {
  const start = url.indexOf("?");
  if (start === -1) return NONE;
  const query: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(url.slice(start + 1).split("#", 1)[0])) {
    if (name === "") return { problem: invalid("query", [{ path: [], message: UNKNOWN }]) };
    if (Object.hasOwn(query, name))
      return { problem: invalid("query", [{ path: [name], message: "must be sent once" }]) };
    Object.defineProperty(query, name, { value, enumerable: true });
  }
  return { query };
}

/** The name of the first query parameter, as it was written; undefined where the query is empty. */
export function firstParameterOf(url: string): string | undefined {
  const start = url.indexOf("?");
  if (start === -1) return undefined;
  const first = url
    .slice(start + 1)
    .split("#", 1)[0]
    ?.split("&")
    .find((each) => each !== "");
  return first === undefined ? undefined : first.split("=", 1)[0]?.slice(0, SHOWN_NAME_LIMIT) || "query";
}
