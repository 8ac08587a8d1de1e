import { type ProblemSlug, problemBody } from "./problem.ts";

/** Pieces of the OpenAPI document that several routes share. */

const problemSchema: object = {
  type: "object",
  required: ["type", "title", "status", "detail"],
  properties: {
    type: { type: "string", description: "Stable name of the error, `urn:sentinel:problem:<slug>`." },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string", description: "What is wrong and what to do." },
  },
};

/** Examples by their types: the detail, or that and the type's own members. */
type ProblemExamples = Partial<Record<ProblemSlug, string | [detail: string, members: object]>>;

/** Details of problems as routes send them, for operations that show no example of their own. */
const DETAILS = {
  "invalid-request": "limit: must be a whole number from 1 to 1000.",
  "invalid-seat-id": "seatId must be a whole number from 1 to 9007199254740991, in decimal digits.",
  unauthorized: "Authorization: send `Bearer <API key>`, or the key as X-API-Key.",
  forbidden: "Authorization: the role of this API key is reader, and seller is needed here.",
  "buyer-needed":
    "buyerId: the event limits the seats of each buyer: hold them at /api/v1/reservations for a buyerId.",
  "caller-denied": "An administrator has denied this caller; the denial ends in 600 s.",
  "confirmations-stopped": "The event is closed, and its holds are not confirmed any more.",
  "denial-limit-reached": "1000 callers are denied already: end some, or deny a wider network.",
  "denial-not-found": "denialId: there is no such denial.",
  "extensions-stopped": "The event is closed, and its holds are not extended any more.",
  "too-many-streams":
    "One API key or network may not have more streams at once (CHANGE_STREAM_CLIENT_PERCENT): close one first.",
  "not-on-sale": "The event is not on sale now.",
  "seat-not-found": "There is no seat 1001.",
  "event-not-found": "There is no event 7.",
  "reservation-not-found": "There is no such reservation, or X-Reservation-Token is not its token.",
  "api-key-not-found": "keyId: there is no such API key.",
  "unsupported-media-type": "Content-Type: must be application/json.",
  "cross-site":
    "Origin: a page of https://shop.example may change nothing here; add its origin to CORS_ORIGINS to allow it.",
  "idempotency-key-reused": "Idempotency-Key: was sent with another request before; choose a new one.",
  "request-too-costly":
    "Too many seats would have to be looked at; name fewer sections or preferences, or let bestAvailable be adjacency preferred.",
  "rate-limited": "The limit is 1000 requests in 10 s, of which a costly one counts as several; wait 7 s.",
  unavailable: "The database cannot be asked now.",
} satisfies ProblemExamples;

/**
 * An error answer (RFC 9457) in a list of responses.
 * @param given examples by type, or types, whose usual examples are shown
 */
export const problemResponse = (
  description: string,
  given: ProblemExamples | (keyof typeof DETAILS)[] = {},
) => {
  const shown: ProblemExamples = Array.isArray(given)
    ? Object.fromEntries(given.map((slug) => [slug, DETAILS[slug]]))
    : given;
  const examples = Object.fromEntries(
    Object.entries(shown).map(([slug, given]) => {
      const [detail, members] = typeof given === "string" ? [given, {}] : given;
      return [slug, { value: problemBody(slug as ProblemSlug, detail, { ...members }) }];
    }),
  );
  const content = { schema: problemSchema, examples };
  return { description, content: { "application/problem+json": content } };
};

export const jsonResponse = (description: string, schema: object, example?: unknown) => ({
  description,
  content: { "application/json": { schema, ...(example === undefined ? {} : { example }) } },
});

export const seatIdParameter = {
  name: "seatId",
  in: "path",
  required: true,
  example: 2,
  description: "In decimal digits, without sign or leading zero.",
  schema: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
} as const;

export const requestIdParameter = {
  name: "X-Request-Id",
  in: "header",
  required: false,
  description:
    "Returned with the answer, and in the log, where it has 1 to 64 letters, digits or any of `_.:-`; else one is made.",
  schema: { type: "string" },
} as const;

export const requestIdHeader = {
  "X-Request-Id": {
    description: "The request's own, or one that was made here.",
    schema: { type: "string", pattern: "^[\\w.:-]{1,64}$" },
  },
} as const;

/** The request breaks a rule of all routes: two keys, an unknown query parameter, a malformed Host. */
export const againstTheRules = problemResponse(
  "The request breaks a rule of all routes; the detail names it.",
  {
    "invalid-request": "Authorization: a Bearer key and X-API-Key were both sent; send one of them.",
  },
);

/** The refusal of a change that a page of another origin asks for; every route that changes something has it. */
export const { examples: crossSiteExamples } = problemResponse("", ["cross-site"]).content[
  "application/problem+json"
];

export const tooLarge = problemResponse("The body has more than BODY_LIMIT_BYTES.", {
  "body-too-large": "body: must have at most 65536 bytes (BODY_LIMIT_BYTES).",
});

export const idempotencyKeyParameter = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description:
    "The same key with the same request is answered with the first success again, for 24 hours. Refusals are not kept. Choose a UUID.",
  schema: { type: "string", pattern: "^[\\x21-\\x7e]{1,255}$" },
} as const;

export const keyReusedResponse = problemResponse(
  "The Idempotency-Key was sent with another request before.",
  ["idempotency-key-reused"],
);
