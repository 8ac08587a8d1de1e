/** The error types of the API; clients may rely on `urn:sentinel:problem:<slug>`. */
const PROBLEMS = {
  "invalid-request": { status: 400, title: "The request is not valid" },
  "invalid-seat-id": { status: 400, title: "The seat id is not a positive integer" },
  "not-found": { status: 404, title: "There is nothing here" },
  "seat-not-found": { status: 404, title: "There is no such seat" },
  "body-too-large": { status: 413, title: "The request body is too large" },
  "internal-error": { status: 500, title: "Something went wrong on our side" },
  unavailable: { status: 503, title: "The service cannot answer now, please try again" },
} as const;

export type ProblemSlug = keyof typeof PROBLEMS;

/**
 * An error answer after RFC 9457. `detail` is for the caller: it names the field and what to do, and never
 * carries anything from inside.
 */
export function problem(slug: ProblemSlug, detail: string, headers: Record<string, string> = {}): Response {
  const { status, title } = PROBLEMS[slug];
  return Response.json(
    { type: `urn:sentinel:problem:${slug}`, title, status, detail },
    { status, headers: { "content-type": "application/problem+json", ...headers } },
  );
}
