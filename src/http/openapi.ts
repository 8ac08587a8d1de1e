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

/** An error answer (RFC 9457) in a list of responses. */
export const problemResponse = (description: string) => ({
  description,
  content: { "application/problem+json": { schema: problemSchema } },
});

export const jsonResponse = (description: string, schema: object, example?: unknown) => ({
  description,
  content: { "application/json": { schema, ...(example === undefined ? {} : { example }) } },
});

export const seatIdParameter = {
  name: "seatId",
  in: "path",
  required: true,
  schema: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
} as const;

export const requestIdParameter = {
  name: "X-Request-Id",
  in: "header",
  required: false,
  description: "Returned with the answer; one is made where it is missing.",
  schema: { type: "string", pattern: "^[\\w.:-]{1,64}$" },
} as const;
