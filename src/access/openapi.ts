import type { DocumentDecoration } from "elysia";
import { jsonResponse, problemResponse } from "../http/openapi.ts";
import { plainTextSchema } from "../http/plain-text.ts";
import { REASON_LIMIT_CHARACTERS } from "./act-origin.ts";
import { NAME_LIMIT_CHARACTERS, ROLES } from "./api-key.ts";
import { CALLER_PATTERN } from "./caller-ids.ts";

/** Most keys in one answer. */
export const PAGE_LIMIT = 1000;

/** How an API key is sent; one of them is enough. */
export const securitySchemes = {
  bearer: { type: "http", scheme: "bearer", description: "An API key: `sentinel_<id>_<secret>`." },
  apiKey: { type: "apiKey", in: "header", name: "X-API-Key", description: "The same key." },
} as const;

const withKey = [{ bearer: [] }, { apiKey: [] }];

/** `security` of a route that always needs a key. */
export const keyNeeded: NonNullable<DocumentDecoration["security"]> = withKey;

/** `security` of a route that needs a key only where `REQUIRE_API_KEY` is true. */
export const keyWelcome: NonNullable<DocumentDecoration["security"]> = [{}, ...withKey];

const wholeNumber = (description: string) => ({ description, schema: { type: "integer" } }) as const;

/** What the checks before a route may answer instead of it. */
export const guardResponses = {
  401: {
    ...problemResponse("The API key is missing, not known or revoked.", ["unauthorized"]),
    headers: { "WWW-Authenticate": { schema: { type: "string" } } },
  },
  403: problemResponse("The role of the API key is not enough, or the caller is denied for a time.", [
    "forbidden",
    "caller-denied",
  ]),
  429: {
    ...problemResponse("Too many requests in this window.", ["rate-limited"]),
    headers: {
      "Retry-After": wholeNumber("Seconds until the window ends."),
      RateLimit: { description: 'As `"address";r=0;t=7`.', schema: { type: "string" } },
      "RateLimit-Policy": { description: 'As `"address";q=1000;w=10`.', schema: { type: "string" } },
    },
  },
} as const;

export const reasonParameter = {
  name: "X-Admin-Reason",
  in: "header",
  required: false,
  description: "The reason; the administration log keeps it with the key's id and the time.",
  schema: plainTextSchema(REASON_LIMIT_CHARACTERS),
} as const;

export const callerSchema: object = {
  type: "string",
  pattern: CALLER_PATTERN,
  description: "A caller: `key:<id>`, or `net:<salted hash of the network>` of a client without an API key.",
};

const name = plainTextSchema(NAME_LIMIT_CHARACTERS);
const role: object = {
  type: "string",
  enum: ROLES,
  description: "A reader looks, a seller takes seats too, an admin changes the catalogue and the keys too.",
};
const properties: Record<string, object> = {
  keyId: { type: "string", format: "uuid" },
  name,
  role,
  createdAt: { type: "string", format: "date-time" },
  revokedAt: { type: ["string", "null"], format: "date-time" },
};

const example = {
  keyId: "019a9d0e-8a53-7000-a1b2-c3d4e5f60718",
  name: "box office",
  role: "seller",
  createdAt: "2026-11-22T16:00:00.000Z",
  revokedAt: null,
};

const keySchema = { type: "object", required: Object.keys(properties), properties };
const away = problemResponse("The database cannot be asked now.", ["unavailable"]);

export const createDetail: DocumentDecoration = {
  operationId: "createApiKey",
  tags: ["API keys"],
  summary: "Make an API key",
  description: "The key stands in this answer only; what is kept is its hash.",
  security: keyNeeded,
  parameters: [reasonParameter],
  requestBody: {
    required: true,
    content: {
      "application/json": {
        schema: {
          type: "object",
          required: ["name", "role"],
          additionalProperties: false,
          properties: { name, role },
        },
        example: { name: "box office", role: "seller" },
      },
    },
  },
  responses: {
    ...guardResponses,
    201: jsonResponse(
      "The key, shown this once.",
      {
        type: "object",
        required: [...Object.keys(properties), "key"],
        properties: { ...properties, key: { type: "string" } },
      },
      { ...example, key: `sentinel_${example.keyId.replaceAll("-", "")}_${"…".repeat(3)}` },
    ),
    400: problemResponse("A field is not valid; the detail names it.", ["invalid-request"]),
    415: problemResponse("The body is not JSON.", ["unsupported-media-type"]),
    503: away,
  },
};

export const listDetail: DocumentDecoration = {
  operationId: "listApiKeys",
  tags: ["API keys"],
  summary: "List API keys",
  security: keyNeeded,
  parameters: [
    {
      name: "after",
      in: "query",
      description: "Only keys made after this one.",
      schema: { type: "string", format: "uuid" },
    },
    {
      name: "limit",
      in: "query",
      description: "At most so many in one answer.",
      schema: { type: "integer", minimum: 1, maximum: PAGE_LIMIT, default: 100 },
    },
  ],
  responses: {
    ...guardResponses,
    200: jsonResponse(
      "Keys in the order of their making, revoked ones too; `next` is the `after` of the next page, or null.",
      {
        type: "object",
        required: ["apiKeys", "next"],
        properties: {
          apiKeys: { type: "array", items: keySchema },
          next: { type: ["string", "null"], format: "uuid" },
        },
      },
      { apiKeys: [example], next: null },
    ),
    400: problemResponse("A parameter is not valid; the detail names it.", ["invalid-request"]),
    503: away,
  },
};

export const revokeDetail: DocumentDecoration = {
  operationId: "revokeApiKey",
  tags: ["API keys"],
  summary: "Revoke an API key",
  description:
    "It stops in this process at once and in every other within 2 s. Revoking it again is no error.",
  security: keyNeeded,
  parameters: [
    {
      name: "keyId",
      in: "path",
      required: true,
      example: "019a9d0e-8a53-7000-a1b2-c3d4e5f60718",
      description: "The key's id, not the key.",
      schema: { type: "string", format: "uuid" },
    },
    reasonParameter,
  ],
  responses: {
    ...guardResponses,
    204: { description: "It is revoked." },
    400: problemResponse("A header is not valid; the detail names it.", ["invalid-request"]),
    404: problemResponse("There is no such API key.", ["api-key-not-found"]),
    503: away,
  },
};
