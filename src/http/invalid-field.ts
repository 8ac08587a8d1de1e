import type { z } from "zod";

/** Longest name of an unknown field that is repeated to whoever sent it. */
const SHOWN_LIMIT = 60;

const UNKNOWN = "is not a known field";

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

/** What zod knows of a value that does not fit. */
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
  switch (origin) {
    case "string":
      return `have ${limit} characters`;
    case "array":
    case "set":
    case "map":
      return `have ${limit} entries`;
    default:
      return `be ${limit}`;
  }
}

/** The detail for a field, or a query parameter, that a route does not have. */
export const unknownField = (name: string) => `${name}: ${UNKNOWN}.`;

/** The first thing wrong, as `sections.0.rows: must be at least 1.` */
function detail(error: z.ZodError): string {
  const issue = error.issues.map(deepest)[0];
  if (!issue) return "body: is not valid.";
  const path = issue.code === "unrecognized_keys" ? [...issue.path, ...issue.keys.slice(0, 1)] : issue.path;
  const field = path.map((key) => String(key).slice(0, SHOWN_LIMIT)).join(".");
  return `${field || "body"}: ${issue.message}.`;
}

/** Of a choice none of whose shapes fits, the shape that fits furthest says what is wrong. */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  const nested = issue.errors.flatMap(([first]) => (first ? [deepest(first)] : []));
  const [furthest] = nested.toSorted((a, b) => b.path.length - a.path.length);
  if (!furthest || furthest.path.length === 0) return issue;
  return { ...furthest, path: [...issue.path, ...furthest.path] };
}

/** How a value that does not fit its schema is told: `message` is zod's `error` while parsing, `detail` is for the problem. */
export const invalidField = { message, detail };
