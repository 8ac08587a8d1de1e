import type { DocumentDecoration } from "elysia";
import { guardResponses, keyWelcome } from "../access/openapi.ts";
import { jsonResponse, problemResponse } from "../http/openapi.ts";
import { nextPage, pageParameters, seatExample, seatListSchema, statusParameter } from "./seat-openapi.ts";

export const eventIdParameter = {
  name: "eventId",
  in: "path",
  required: true,
  example: 1,
  description: "In decimal digits, without sign or leading zero.",
  schema: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
} as const;

const time = { type: ["string", "null"], format: "date-time" };
const count = { type: "integer", minimum: 0 };
const point = { type: "object", properties: { x: { type: "number" }, y: { type: "number" } } };

const summaryProperties: Record<string, object> = {
  eventId: { type: "integer" },
  name: { type: "string" },
  currency: { type: "string", description: "ISO 4217." },
  status: { type: "string", enum: ["open", "closed"], description: "Only an open event sells." },
  stopExtensions: {
    type: "boolean",
    description: "True if the closed event's holds cannot be extended; otherwise absent.",
  },
  stopConfirmations: {
    type: "boolean",
    description: "True if the closed event's holds cannot be confirmed; otherwise absent.",
  },
  onSaleAt: { ...time, description: "It sells from here on; null: always." },
  offSaleAt: { ...time, description: "And no longer from here on; null: for ever." },
  cancellable: { type: "boolean", description: "Whether a confirmed reservation can be cancelled." },
  holdTtlSeconds: { type: "integer", description: "How long a hold lasts." },
  holdLimitSeconds: { type: "integer", description: "How long it lasts at most, with all extensions." },
  reservationLimitSeats: { type: "integer" },
  buyerLimitSeats: { type: ["integer", "null"] },
  focalPoint: { ...point, type: ["object", "null"], description: "Where everybody looks." },
  priceTiers: {
    type: "array",
    items: {
      type: "object",
      required: ["name", "price", "amountMinor"],
      properties: {
        name: { type: "string" },
        price: { type: "string", description: "In units of the currency, with its decimals." },
        amountMinor: {
          type: "integer",
          minimum: 0,
          maximum: Number.MAX_SAFE_INTEGER,
          description: "In its minor unit.",
        },
      },
    },
  },
  createdAt: { type: "string", format: "date-time" },
};

/** All but the two that only a closed event may have. */
const REQUIRED = Object.keys(summaryProperties).filter((name) => !name.startsWith("stop"));

const sectionProperties: Record<string, object> = {
  sectionId: { type: "integer" },
  name: { type: "string" },
  kind: { type: "string", enum: ["assigned", "general"] },
  firstSeatId: { type: "integer", description: "The ids of a section's seats follow one another." },
  seatCount: count,
  priceTier: { type: ["string", "null"], description: "Of the seats that have none of their own." },
};

const summarySchema = {
  type: "object",
  required: REQUIRED,
  properties: summaryProperties,
};

const countsSchema = {
  type: "object",
  required: ["unknown", "available", "held", "reserved"],
  properties: { unknown: count, available: count, held: count, reserved: count },
  description: "As of the event's map.",
};

export const eventSchema = {
  type: "object",
  required: [...REQUIRED, "seatCount", "sections"],
  properties: {
    ...summaryProperties,
    seatCount: count,
    sections: {
      type: "array",
      items: {
        type: "object",
        required: [...Object.keys(sectionProperties), "availability"],
        properties: { ...sectionProperties, availability: countsSchema },
      },
    },
  },
};

const summaryExample = {
  eventId: 1,
  name: "Grand Central Concert 2025",
  currency: "EUR",
  status: "open",
  onSaleAt: null,
  offSaleAt: null,
  cancellable: false,
  holdTtlSeconds: 600,
  holdLimitSeconds: 1800,
  reservationLimitSeats: 20,
  buyerLimitSeats: null,
  focalPoint: null,
  priceTiers: [{ name: "Standard", price: "150.00", amountMinor: 15_000 }],
  createdAt: "2026-11-22T16:00:00.000Z",
};
const sectionExample = {
  sectionId: 1,
  name: "Hall",
  kind: "assigned",
  firstSeatId: 1,
  seatCount: 1000,
  priceTier: "Standard",
};
export const eventExample = {
  ...summaryExample,
  seatCount: 1000,
  sections: [{ ...sectionExample, availability: { unknown: 0, available: 998, held: 1, reserved: 1 } }],
};

const shared = { tags: ["Events"], security: keyWelcome };
const eventResponses = {
  ...guardResponses,
  400: problemResponse("The event id or a parameter is not valid; the detail names it.", ["invalid-request"]),
  404: problemResponse("There is no such event.", ["event-not-found"]),
  503: problemResponse("The database cannot be asked now.", ["unavailable"]),
};

export const eventsDetail: DocumentDecoration = {
  ...shared,
  operationId: "listEvents",
  summary: "List events by id",
  parameters: pageParameters,
  responses: {
    ...guardResponses,
    200: jsonResponse(
      "Events in the order of their ids; `next` is the `after` of the next page, or null; a page may be short though more follow.",
      {
        type: "object",
        required: ["events", "next"],
        properties: { events: { type: "array", items: summarySchema }, next: nextPage },
      },
      { events: [summaryExample], next: null },
    ),
    400: problemResponse("A parameter is not valid; the detail names it.", ["invalid-request"]),
  },
};

export const eventDetail: DocumentDecoration = {
  ...shared,
  operationId: "getEvent",
  summary: "Show an event with its sections and how many of their seats are free",
  parameters: [eventIdParameter],
  responses: { ...eventResponses, 200: jsonResponse("The event.", eventSchema, eventExample) },
};

export const sectionsDetail: DocumentDecoration = {
  ...shared,
  operationId: "listSections",
  summary: "Show an event's sections with their rows",
  parameters: [eventIdParameter],
  responses: {
    ...eventResponses,
    200: jsonResponse(
      "The sections in the order of their seats' ids. Rows, numbering and position are those of an assigned section only.",
      {
        type: "object",
        required: ["sections"],
        properties: {
          sections: {
            type: "array",
            items: {
              type: "object",
              required: Object.keys(sectionProperties),
              properties: {
                ...sectionProperties,
                numbering: { type: "object" },
                position: { ...point, description: "The middle of the first row." },
                seatSpacing: { type: "number" },
                rowSpacing: { type: "number" },
                rows: {
                  type: "array",
                  items: {
                    type: "object",
                    required: ["label", "firstSeatId", "seatCount"],
                    properties: {
                      label: { type: "string" },
                      firstSeatId: { type: "integer" },
                      seatCount: count,
                    },
                  },
                },
              },
            },
          },
        },
      },
      {
        sections: [
          {
            ...sectionExample,
            numbering: { perRow: false, start: 1, step: 1, prefix: "S-" },
            ...{ position: { x: 0, y: 0 }, seatSpacing: 1, rowSpacing: 1 },
            rows: [
              { label: "A", firstSeatId: 1, seatCount: 50 },
              { label: "B", firstSeatId: 51, seatCount: 50 },
            ],
          },
        ],
      },
    ),
  },
};

const filter = (name: string, description: string, schema: object = { type: "string" }) => ({
  ...{ name, in: "query" as const, description, schema },
});

export const eventSeatsDetail: DocumentDecoration = {
  ...shared,
  operationId: "listSeatsOfEvent",
  summary: "List an event's seats by id",
  parameters: [
    eventIdParameter,
    filter("section", "Only seats of the section with this name."),
    filter("row", "Only seats of rows with this label."),
    filter("priceTier", "Only seats at the price with this name."),
    filter("accessible", "Only seats that are, or are not, accessible.", { type: "boolean" }),
    statusParameter,
    ...pageParameters,
  ],
  responses: {
    ...eventResponses,
    200: jsonResponse(
      "Seats in the order of their ids; `next` is the `after` of the next page, or null; a page may be short though more follow.",
      seatListSchema,
      { seats: [seatExample], next: null },
    ),
  },
};
