import type { DocumentDecoration } from "elysia";
import { REASON_LIMIT_CHARACTERS } from "../access/act-origin.ts";
import { callerSchema, guardResponses, keyNeeded, PAGE_LIMIT } from "../access/openapi.ts";
import { jsonResponse, problemResponse } from "../http/openapi.ts";
import { nameOfOneSchema, plainTextSchema } from "../http/plain-text.ts";
import { BUYER_ID_LIMIT_CHARACTERS, NAME_LIMIT_CHARACTERS } from "./hold-body.ts";

const id: object = { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER };
const buyerId = nameOfOneSchema(BUYER_ID_LIMIT_CHARACTERS);
const section = plainTextSchema(NAME_LIMIT_CHARACTERS);

const filters = [
  { name: "eventId", in: "query", description: "Only holds of this event.", schema: id },
  { name: "caller", in: "query", description: "Only holds that this caller made.", schema: callerSchema },
  { name: "buyerId", in: "query", description: "Only holds for this buyer.", schema: buyerId },
  {
    name: "section",
    in: "query",
    description: "Only holds with a seat in this section of `eventId`.",
    schema: section,
  },
];
const limit = {
  name: "limit",
  in: "query",
  description: "The most in one response.",
  schema: { type: "integer", minimum: 1, maximum: PAGE_LIMIT, default: 100 },
};

const count: object = { type: "integer", minimum: 0 };
const holdSchema: object = {
  type: "object",
  required: ["reservationId", "eventId", "seatIds", "caller", "buyerId", "createdAt", "expiresAt"],
  properties: {
    reservationId: { type: "string", format: "uuid" },
    eventId: id,
    seatIds: { type: "array", items: id },
    caller: { ...callerSchema, type: ["string", "null"] },
    buyerId: { type: ["string", "null"] },
    createdAt: { type: "string", format: "date-time" },
    expiresAt: { type: "string", format: "date-time" },
  },
};
const callerExample = "net:u0dqzXn3bJmC4tE5kW8s2g";
const holdExample = {
  reservationId: "019a9d0e-8a53-7000-a1b2-c3d4e5f60718",
  eventId: 1,
  seatIds: [4, 5],
  caller: callerExample,
  buyerId: null,
  createdAt: "2026-11-28T20:00:00.000Z",
  expiresAt: "2026-11-28T20:10:00.000Z",
};

const shared = { tags: ["Administration"], security: keyNeeded };
const answers = {
  ...guardResponses,
  400: problemResponse("A field or a parameter is not valid; the detail names it. Nothing was changed.", [
    "invalid-request",
  ]),
  404: problemResponse("There is no such event.", ["event-not-found"]),
  503: problemResponse("The database cannot be asked now, or other administrators are at work.", [
    "unavailable",
  ]),
};

export const holdsDetail: DocumentDecoration = {
  ...shared,
  operationId: "listHolds",
  summary: "List live holds",
  parameters: [
    ...filters,
    {
      name: "after",
      in: "query",
      description: "Only holds made after this one.",
      schema: { type: "string", format: "uuid" },
    },
    limit,
  ],
  responses: {
    ...answers,
    200: jsonResponse(
      "The holds, oldest first; `next` is the `after` of the next page, or null.",
      {
        type: "object",
        required: ["holds", "next"],
        properties: {
          holds: { type: "array", items: holdSchema },
          next: { type: ["string", "null"], format: "uuid" },
        },
      },
      { holds: [holdExample], next: null },
    ),
  },
};

export const callersDetail: DocumentDecoration = {
  ...shared,
  operationId: "listHoldCallers",
  summary: "List who holds the most seats",
  parameters: [...filters, limit],
  responses: {
    ...answers,
    200: jsonResponse(
      "Callers with their live holds, those with the most seats first.",
      {
        type: "object",
        required: ["callers"],
        properties: {
          callers: {
            type: "array",
            items: {
              type: "object",
              required: ["caller", "reservations", "seats"],
              properties: {
                caller: { ...callerSchema, type: ["string", "null"] },
                reservations: count,
                seats: count,
              },
            },
          },
        },
      },
      { callers: [{ caller: callerExample, reservations: 5000, seats: 100_000 }] },
    ),
  },
};

export const releaseHoldsDetail: DocumentDecoration = {
  ...shared,
  operationId: "releaseHolds",
  summary: "Release the holds of others",
  description: [
    "With `dryRun` nothing is released: the response counts the selected holds and shows the first of them. Without it each of them is released as a change of its own, with ledger rows and events. The ledger rows name the act in the administration log.",
    "A request stops after some seconds. If `isComplete` is false, send it again to release what is left. A hold is released as a whole, even if only one of its seats is in the section.",
  ].join("\n\n"),
  requestBody: {
    required: true,
    content: {
      "application/json": {
        schema: {
          type: "object",
          additionalProperties: false,
          properties: {
            eventId: id,
            caller: callerSchema,
            buyerId,
            section: { ...section, description: "A section of `eventId`." },
            dryRun: { type: "boolean", default: false },
            reason: {
              ...plainTextSchema(REASON_LIMIT_CHARACTERS),
              description:
                "The reason, which the administration log keeps; required unless `dryRun` is true.",
            },
          },
        },
        example: { eventId: 1, caller: callerExample, dryRun: true },
      },
    },
  },
  responses: {
    ...answers,
    200: jsonResponse(
      "What was released, or would be.",
      {
        type: "object",
        required: ["dryRun", "actId", "reservations", "seats"],
        properties: {
          dryRun: { type: "boolean" },
          actId: { type: "integer" },
          reservations: count,
          seats: count,
          isComplete: {
            type: "boolean",
            description: "False if some holds are left: send the request again. Absent in a dry run.",
          },
          sample: { type: "array", items: holdSchema, description: "The first holds; only in a dry run." },
        },
      },
      { dryRun: false, actId: 4712, reservations: 5000, seats: 100_000, isComplete: true },
    ),
    415: problemResponse("The body is not JSON by its Content-Type.", ["unsupported-media-type"]),
  },
};
