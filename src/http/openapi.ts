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

/** An error answer (RFC 9457) in a list of responses. */
export const problemResponse = (description: string, shown: ProblemExamples = {}) => {
  const examples = Object.fromEntries(
    Object.entries(shown).map(([slug, given]) => {
      const [detail, members] = typeof given === "string" ? [given, {}] : given;
      return [slug, { value: problemBody(slug as ProblemSlug, detail, { ...members }) }];
    }),
  );
  const hasExamples = Object.keys(examples).length > 0;
  const content = { schema: problemSchema, ...(hasExamples && { examples }) };
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

export const tooLarge = {
  description: "The body is larger than BODY_LIMIT_BYTES; refused before any route, without a body.",
} as const;

export const idempotencyKeyParameter = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description:
    "The same key with the same request is answered with the first success again, for 24 hours. Refusals are not kept. Choose a UUID.",
  schema: { type: "string", pattern: "^[\\x21-\\x7e]{1,255}$" },
} as const;

export const keyReusedResponse = problemResponse("The Idempotency-Key was sent with another request before.");
