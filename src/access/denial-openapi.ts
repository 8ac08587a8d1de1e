import type { DocumentDecoration } from "elysia";
import { jsonResponse, problemResponse } from "../http/openapi.ts";
import { plainTextSchema } from "../http/plain-text.ts";
import { DENIAL_LIMIT } from "../postgres/denials.ts";
import { REASON_LIMIT_CHARACTERS } from "./act-origin.ts";
import { DENIAL_LIMIT_SECONDS } from "./denial-limits.ts";
import { callerSchema, guardResponses, keyNeeded, reasonParameter } from "./openapi.ts";

const reason = plainTextSchema(REASON_LIMIT_CHARACTERS);
const denialSchema: object = {
  type: "object",
  required: ["denialId", "caller", "prefixBits", "reason", "deniedUntil"],
  properties: {
    denialId: { type: "integer", description: "The id of its act in the administration log." },
    caller: callerSchema,
    prefixBits: {
      type: ["integer", "null"],
      description:
        "The length of the prefix, if the denied network is wider than one client's; otherwise null.",
    },
    reason,
    deniedUntil: { type: "string", format: "date-time" },
  },
};
const example = {
  denialId: 4713,
  caller: "net:u0dqzXn3bJmC4tE5kW8s2g",
  prefixBits: null,
  reason: "holds half of the hall",
  deniedUntil: "2026-11-28T21:00:00.000Z",
};
const away = problemResponse("The database cannot be asked now.", ["unavailable"]);
const shared = { tags: ["Administration"], security: keyNeeded };

export const denialsDetail: DocumentDecoration = {
  ...shared,
  operationId: "listDenials",
  summary: "List the denials in force",
  responses: {
    ...guardResponses,
    200: jsonResponse(
      "The denials, oldest first.",
      {
        type: "object",
        required: ["denials"],
        properties: { denials: { type: "array", items: denialSchema } },
      },
      { denials: [example] },
    ),
    503: away,
  },
};

export const denyDetail: DocumentDecoration = {
  ...shared,
  operationId: "denyCaller",
  summary: "Deny a caller for a time",
  description: [
    "Every route except those of administrators, probes, metrics and docs answers the caller with 403 and `Retry-After`: in this process at once, in every other within 2 s. The caller's open live streams end in the same time. Seats that the caller holds stay held until the hold ends or is released.",
    `\`network\` denies the callers without an API key in it, on every route; a caller with a valid key is denied by the key. It is an IPv4 address or prefix of 8 to 32 bits, or an IPv6 address (its /64) or prefix of 16 to 64 bits; an IPv4 address that is written as an IPv6 one is that IPv4 address. Only a salted hash of it is kept. A new denial of a caller replaces the previous one. At most ${DENIAL_LIMIT} are in force at once.`,
  ].join("\n\n"),
  requestBody: {
    required: true,
    content: {
      "application/json": {
        schema: {
          type: "object",
          additionalProperties: false,
          required: ["seconds", "reason"],
          oneOf: [{ required: ["caller"] }, { required: ["network"] }],
          properties: {
            caller: callerSchema,
            network: { type: "string", minLength: 1, maxLength: 64, description: "Instead of `caller`." },
            seconds: { type: "integer", minimum: 1, maximum: DENIAL_LIMIT_SECONDS },
            reason,
          },
        },
        example: { network: "203.0.113.0/24", seconds: 3600, reason: "holds half of the hall" },
      },
    },
  },
  responses: {
    ...guardResponses,
    201: jsonResponse("The denial.", denialSchema, example),
    400: problemResponse("A field is not valid; the detail names it.", ["invalid-request"]),
    409: problemResponse("Too many callers are denied already.", ["denial-limit-reached"]),
    415: problemResponse("The body is not JSON by its Content-Type.", ["unsupported-media-type"]),
    503: away,
  },
};

export const endDenialDetail: DocumentDecoration = {
  ...shared,
  operationId: "endDenial",
  summary: "End a denial before its time",
  description: "Ending it again is no error.",
  parameters: [
    {
      name: "denialId",
      in: "path",
      required: true,
      example: 4713,
      description: "As the list shows it.",
      schema: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    },
    reasonParameter,
  ],
  responses: {
    ...guardResponses,
    204: { description: "The denial has ended." },
    400: problemResponse("A header is not valid; the detail names it.", ["invalid-request"]),
    404: problemResponse("There is no such denial.", ["denial-not-found"]),
    503: away,
  },
};
