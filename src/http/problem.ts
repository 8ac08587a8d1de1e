/** The error types of the API; clients may rely on `urn:sentinel:problem:<slug>`. */
export const PROBLEMS = {
  moved: { status: 308, title: "The address is written without the slash at its end" },
  "invalid-request": { status: 400, title: "The request is not valid" },
  "invalid-seat-id": { status: 400, title: "The seat id is not a positive integer" },
  unauthorized: { status: 401, title: "An API key is needed here" },
  forbidden: { status: 403, title: "The API key may not do this" },
  "cross-site": { status: 403, title: "A page of another origin may change nothing here" },
  "not-found": { status: 404, title: "There is nothing here" },
  "not-on-sale": { status: 403, title: "The event is not on sale" },
  "buyer-needed": { status: 403, title: "The event sells to named buyers only" },
  "extensions-stopped": { status: 403, title: "The event is closed and extends no holds" },
  "confirmations-stopped": { status: 403, title: "The event is closed and confirms no holds" },
  "method-not-allowed": { status: 405, title: "This address is not for this method" },
  "reservation-not-found": { status: 404, title: "There is no such reservation" },
  "seats-taken": { status: 409, title: "Not all of these seats are free" },
  "no-seats-left": { status: 409, title: "No seats that would do are free" },
  "buyer-limit-reached": { status: 409, title: "The buyer would have too many seats" },
  "hold-limit-reached": { status: 409, title: "The caller would hold too many seats" },
  "request-in-progress": { status: 409, title: "The same is being decided at this moment" },
  "already-confirmed": { status: 409, title: "The reservation is confirmed already" },
  "already-released": { status: 409, title: "The reservation was released" },
  "already-cancelled": { status: 409, title: "The reservation was cancelled" },
  "not-confirmed": { status: 409, title: "The reservation is not confirmed" },
  "not-cancellable": { status: 409, title: "The event takes nothing back" },
  "extension-limit-reached": { status: 409, title: "The hold cannot last longer" },
  "reservation-expired": { status: 410, title: "The hold is over" },
  "idempotency-key-reused": { status: 422, title: "The Idempotency-Key was used for another request" },
  "request-too-costly": { status: 422, title: "The request asks for more work than one request may" },
  "event-not-found": { status: 404, title: "There is no such event" },
  "seat-not-found": { status: 404, title: "There is no such seat" },
  "caller-denied": { status: 403, title: "The caller is denied for a time" },
  "denial-limit-reached": { status: 409, title: "Too many callers are denied" },
  "denial-not-found": { status: 404, title: "There is no such denial" },
  "api-key-not-found": { status: 404, title: "There is no such API key" },
  "body-too-large": { status: 413, title: "The request body is too large" },
  "unsupported-media-type": { status: 415, title: "The request body is not of a type that is read here" },
  "rate-limited": { status: 429, title: "Too many requests, please wait" },
  "too-many-streams": { status: 429, title: "The client has too many streams" },
  "internal-error": { status: 500, title: "Something went wrong on our side" },
  unavailable: { status: 503, title: "The service cannot answer now, please try again" },
} as const;

export type ProblemSlug = keyof typeof PROBLEMS;

/**
 * An error answer after RFC 9457. `detail` is for the caller: it names the field and what to do, and never
 * carries anything from inside. `members` are the type's own (section 3.2).
 */
export function problem(
  slug: ProblemSlug,
  detail: string,
  headers: Record<string, string> = {},
  members: Record<string, unknown> = {},
): Response {
  const body = problemBody(slug, detail, members);
  return Response.json(body, {
    status: body.status,
    headers: { "content-type": "application/problem+json", ...headers },
  });
}

/** What stands in the answer; the API's document shows the same. */
export function problemBody(slug: ProblemSlug, detail: string, members: Record<string, unknown> = {}) {
  const { status, title } = PROBLEMS[slug];
  return { type: `urn:sentinel:problem:${slug}`, title, status, detail, ...members };
}
