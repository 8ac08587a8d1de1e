import type { DocumentDecoration } from "elysia";
import { z } from "zod";
import { guardResponses, keyNeeded, reasonParameter } from "../access/openapi.ts";
import {
  idempotencyKeyParameter,
  jsonResponse,
  keyReusedResponse,
  problemResponse,
} from "../http/openapi.ts";
import { closing, eventChange, eventDescription } from "./description.ts";
import { eventExample, eventIdParameter, eventSchema } from "./event-openapi.ts";

/** The schema that checks a body, as the document shows it. */
const bodyOf = (schema: z.ZodType, example: object) => {
  const { $schema: _, ...shown } = z.toJSONSchema(schema, {
    io: "input",
    // "date-time" says it; the pattern is half a page.
    override: ({ jsonSchema }) => {
      if (jsonSchema.format === "date-time") delete jsonSchema.pattern;
    },
  });
  return { required: true, content: { "application/json": { schema: shown as object, example } } };
};

const shared = { tags: ["Administration"], security: keyNeeded };
const invalid = problemResponse(
  "A field is not valid; the detail begins with its path. Nothing was changed.",
  ["invalid-request"],
);
const notJson = problemResponse("The body is not JSON by its Content-Type.", ["unsupported-media-type"]);
const busy = problemResponse("The database cannot be asked now, or other changes are under way.", [
  "unavailable",
]);
const event = (description: string) => jsonResponse(description, eventSchema, eventExample);

export const createDetail: DocumentDecoration = {
  ...shared,
  operationId: "createEvent",
  summary: "Make an event with all its seats",
  description: [
    "Rows and numbers follow from the description: 100,000 seats are one request. A section has `rows` as a number with `seatsPerRow`, or as a list; `areas` say what differs in parts of it; in a section of kind `general` nobody picks a seat.",
    "All or nothing, in one transaction: what is sold meanwhile is published when it is through (about 10 s for 1,000,000 seats). With an Idempotency-Key it may be sent again after a lost answer.",
  ].join("\n\n"),
  parameters: [idempotencyKeyParameter, reasonParameter],
  requestBody: bodyOf(eventDescription, {
    name: "Grand Central Concert 2026",
    currency: "EUR",
    cancellable: true,
    onSaleAt: "2026-12-01T10:00:00+01:00",
    priceTiers: [
      { name: "Front", amountMinor: 15_000 },
      { name: "Back", amountMinor: 9_000 },
    ],
    focalPoint: { x: 0, y: -5 },
    sections: [
      {
        ...{ name: "Stalls", kind: "assigned", rows: 40, seatsPerRow: 50, priceTier: "Back" },
        areas: [
          { rows: ["A", "E"], priceTier: "Front" },
          { rows: ["A", "A"], seats: [1, 4], accessible: true },
        ],
      },
      { name: "Standing", kind: "general", capacity: 500, priceTier: "Back" },
    ],
  }),
  responses: {
    ...guardResponses,
    201: {
      ...event("The event is made; `Location` is its address."),
      headers: { Location: { schema: { type: "string" } } },
    },
    400: invalid,
    415: notJson,
    422: keyReusedResponse,
    503: busy,
  },
};

const changeResponses = {
  ...guardResponses,
  200: event("The event as it is now."),
  404: problemResponse("There is no such event.", ["event-not-found"]),
  503: busy,
};

export const changeDetail: DocumentDecoration = {
  ...shared,
  operationId: "changeEvent",
  summary: "Change an event",
  description:
    "What is left out stays; null takes a limit or a time away. Currency, prices, sections and whether it is cancellable are fixed once it is made. Other processes know of it within a second; the database decides.",
  parameters: [eventIdParameter, reasonParameter],
  requestBody: bodyOf(eventChange, { offSaleAt: "2026-12-31T20:00:00+01:00", holdTtlSeconds: 900 }),
  responses: { ...changeResponses, 400: invalid, 415: notJson },
};

const switchDetail = (operationId: string, summary: string): DocumentDecoration => ({
  ...shared,
  operationId,
  summary,
  parameters: [eventIdParameter, idempotencyKeyParameter, reasonParameter],
  responses: {
    ...changeResponses,
    400: problemResponse("The event id or a header is not valid.", ["invalid-request"]),
    422: keyReusedResponse,
  },
});

export const openDetail = switchDetail("openEvent", "Let an event sell");
const closeSwitch = switchDetail("closeEvent", "Let an event sell no more; what is sold or held stays so");
export const closeDetail: DocumentDecoration = {
  ...closeSwitch,
  responses: { ...closeSwitch.responses, 415: notJson },
  description:
    "With `stopExtensions` or `stopConfirmations` the event's holds cannot be extended or confirmed while it is closed; they expire or are released. Every call sets both options (false if left out), and opening the event resets them.",
  requestBody: {
    ...bodyOf(closing, { stopExtensions: true, stopConfirmations: true }),
    required: false,
  },
};
