import type { z } from "zod";
import type { Place } from "./field-error.ts";
import { invalid, type ProblemResponse, type ValueFault } from "./problem.ts";

/** The message for a field, or a query parameter, that a route does not have. */
export const UNKNOWN = "is not a known field";

/** zod's word for a type, as people say it. */
const TYPES: Record<string, string> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  date: "a time",
};

/** Zod's description of an invalid value. */
type Issue = z.core.$ZodRawIssue;

function message(issue: Issue): string {
  if (issue.input === undefined && issue.code !== "custom") return "is required";
  switch (issue.code) {
    case "invalid_type":
      return `must be ${TYPES[issue.expected] ?? issue.expected}`;
    case "too_small":
      return `must ${amount(issue.origin, "at least", issue.inclusive === false ? "more than" : undefined, issue.minimum)}`;
    case "too_big":
      return `must ${amount(issue.origin, "at most", issue.inclusive === false ? "less than" : undefined, issue.maximum)}`;
    case "invalid_value":
      return `must be ${issue.values.length > 1 ? "one of " : ""}${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
    case "unrecognized_keys":
      return UNKNOWN;
    default:
      return "is not valid";
  }
}

function amount(origin: string, inclusive: string, exclusive: string | undefined, bound: unknown): string {
  const limit = `${exclusive ?? inclusive} ${bound}`;
  const isOne = Number(bound) === 1;
  switch (origin) {
    case "string":
      return `have ${limit} ${isOne ? "character" : "characters"}`;
    case "array":
    case "set":
    case "map":
      return `have ${limit} ${isOne ? "entry" : "entries"}`;
    default:
      return `be ${limit}`;
  }
}

/** Everything wrong with a value, in the order in which zod found it. */
const faultsOf = (error: z.ZodError): ValueFault[] => error.issues.map(deepest).flatMap(faultsIn);

const faultsIn = (issue: z.core.$ZodIssue): ValueFault[] =>
  issue.code === "unrecognized_keys"
    ? issue.keys.map((key) => ({ path: [...issue.path, key], message: UNKNOWN }))
    : [{ path: issue.path, message: issue.message }];

/** Where no shape of a choice fits, the error of the shape that fits furthest. */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  const nested = issue.errors.flatMap(([first]) => (first ? [deepest(first)] : []));
  const [furthest] = nested.toSorted((a, b) => b.path.length - a.path.length);
  if (!furthest || furthest.path.length === 0) return issue;
  return { ...furthest, path: [...issue.path, ...furthest.path] };
}

/**
 * Checks a part of a request.
 * @returns the value, or the 400 that names everything wrong with it.
 */
export function checked<Schema extends z.ZodType>(
  place: Place,
  schema: Schema,
  value: unknown,
): { value: z.output<Schema> } | { value?: never; problem: ProblemResponse<"invalid-request"> } {
  const parsed = schema.safeParse(value, { error: message });
  return parsed.success ? { value: parsed.data } : { problem: invalid(place, faultsOf(parsed.error)) };
}
