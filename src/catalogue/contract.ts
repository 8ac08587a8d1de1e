import { z } from "zod";
import { type ResponseContract, route } from "../http/contract.ts";
import { eventIdParameter, id, seatIdParameter, wholeNumber } from "../http/parameters.ts";
import { plainText } from "../http/plain-text.ts";
import { timeOf } from "../http/time.ts";
import { MAP_AGE_MS, MAP_AGE_SEATS } from "./map-cache.ts";
import { LABEL_LIMIT_CHARACTERS } from "./section-description.ts";

/** The contracts of the routes that show events, sections and seats. */

const PAGE_LIMIT = 1000;
/** Versions are 32-bit integers in the database. */
const VERSION_LIMIT = 2 ** 31 - 1;
const IN_UNITS = "In units of the currency, with its decimals.";

const time = z.iso.datetime();
const count = z.int().min(0);
const point = z.object({ x: z.number(), y: z.number() }).meta({ id: "Point" });
const next = id.nullable().describe("The `after` of the next page; null: this is the last one.");

const priceTier = z
  .object({
    name: z.string(),
    price: z.string().describe(IN_UNITS),
    amountMinor: z.int().min(0).max(Number.MAX_SAFE_INTEGER).describe("In the currency's minor unit."),
  })
  .meta({ id: "PriceTier" });

const summaryShape = {
  eventId: id,
  name: z.string(),
  currency: z.string().describe("ISO 4217."),
  status: z.enum(["open", "closed"]).describe("Only an open event sells."),
  stopExtensions: z
    .literal(true)
    .optional()
    .describe("True if the closed event's holds cannot be extended; otherwise absent."),
  stopConfirmations: z
    .literal(true)
    .optional()
    .describe("True if the closed event's holds cannot be confirmed; otherwise absent."),
  onSaleAt: time.nullable().describe("When the sale starts; null: immediately."),
  offSaleAt: time.nullable().describe("When the sale ends; null: never."),
  cancellable: z.boolean().describe("Whether a confirmed reservation can be cancelled."),
  holdTtlSeconds: z.int().describe("How long a hold lasts."),
  holdLimitSeconds: z.int().describe("How long a hold lasts at most, with all extensions."),
  reservationLimitSeats: z.int(),
  buyerLimitSeats: z.int().nullable(),
  focalPoint: point.nullable().describe("The point that the seats face."),
  priceTiers: z.array(priceTier),
  createdAt: time,
};
const eventSummary = z.object(summaryShape).meta({ id: "EventSummary" });
export type WireEventSummary = z.output<typeof eventSummary>;

const sectionShape = {
  sectionId: id,
  name: z.string(),
  kind: z.enum(["assigned", "general"]),
  firstSeatId: id.describe("The seat ids of a section follow one another."),
  seatCount: count,
  priceTier: z.string().nullable().describe("The tier of the seats that have none of their own."),
};

const availability = z
  .object({ unknown: count, available: count, held: count, reserved: count })
  .meta({ id: "Availability", description: "How many seats are in each state, as of the event's map." });
const sectionSummary = z.object({ ...sectionShape, availability }).meta({ id: "SectionSummary" });

export const event = z
  .object({ ...summaryShape, seatCount: count, sections: z.array(sectionSummary) })
  .meta({ id: "Event" });
export type WireEvent = z.output<typeof event>;

const row = z.object({ label: z.string(), firstSeatId: id, seatCount: count }).meta({ id: "Row" });
const numbering = z
  .object({ perRow: z.boolean(), start: z.int(), step: z.int(), prefix: z.string() })
  .meta({ id: "Numbering" });
const section = z
  .object({
    ...sectionShape,
    numbering: numbering.optional(),
    position: point.optional().describe("The middle of the first row."),
    seatSpacing: z.number().optional(),
    rowSpacing: z.number().optional(),
    rows: z.array(row).optional(),
  })
  .meta({ id: "Section" });
export type WireSection = z.output<typeof section>;

const seatStatus = z.enum(["available", "held", "reserved"]);
const seat = z
  .object({
    seatId: id,
    eventId: id,
    section: z.string().nullable().describe("The section's name."),
    row: z.string().nullable().describe("Null in general admission."),
    seatNumber: z.string().nullable().describe("Null in general admission."),
    status: seatStatus.describe("A hold that has ended may still be shown for up to 2 s."),
    version: z.int().min(0).describe("How often the seat has changed."),
    price: z.string().nullable().describe(IN_UNITS),
    currency: z.string().nullable().describe("ISO 4217."),
    priceTier: z.string().nullable().describe("The tier's name."),
    accessible: z.boolean(),
    restrictedView: z.boolean(),
    x: z.number().nullable().describe("In the event's own coordinates."),
    y: z.number().nullable().describe("In the event's own coordinates."),
  })
  .meta({ id: "Seat" });
export type WireSeat = z.output<typeof seat>;

const change = z
  .object({
    version: z.int().min(1),
    status: z
      .enum(["RESERVED", "HELD", "EXTENDED", "RELEASED", "EXPIRED", "CANCELLED"])
      .describe("What was done to the seat."),
    reservationId: z.uuid().nullable().describe("Null for callers without a seller's API key."),
    replacesReservationId: z
      .uuid()
      .nullable()
      .describe("The reservation whose hold had ended and whose seat this one took."),
    at: time,
  })
  .meta({ id: "SeatChange" });

const summaryExample = {
  ...{ eventId: 1, name: "Grand Central Concert 2025", currency: "EUR", status: "open" },
  ...{ onSaleAt: null, offSaleAt: null, cancellable: false, holdTtlSeconds: 600, holdLimitSeconds: 1800 },
  ...{ reservationLimitSeats: 20, buyerLimitSeats: null, focalPoint: null },
  priceTiers: [{ name: "Standard", price: "150.00", amountMinor: 15_000 }],
  createdAt: "2026-11-22T16:00:00.000Z",
};
const sectionExample = {
  ...{ sectionId: 1, name: "Hall", kind: "assigned", firstSeatId: 1, seatCount: 1000, priceTier: "Standard" },
};
export const eventExample = {
  ...summaryExample,
  seatCount: 1000,
  sections: [{ ...sectionExample, availability: { unknown: 0, available: 998, held: 1, reserved: 1 } }],
};
const seatExample = {
  ...{ seatId: 2, eventId: 1, section: "Hall", row: "A", seatNumber: "S-2", status: "available", version: 0 },
  ...{ price: "150.00", currency: "EUR", priceTier: "Standard", accessible: false, restrictedView: false },
  ...{ x: -23.5, y: 0 },
};

const limit = wholeNumber(1, PAGE_LIMIT).describe("The most entries in one response.").default(100);
const page = {
  after: wholeNumber(0, Number.MAX_SAFE_INTEGER).describe("Only entries with a greater id.").default(0),
  limit,
};
const SHORT_PAGES =
  "A page may have fewer entries than `limit` although more follow: continue until `next` is null.";

const ofEvents = { method: "GET", tag: "Events", role: "reader" } as const;
const ofSeats = { ...ofEvents, tag: "Seats" } as const;

export const listEvents = route({
  ...ofEvents,
  path: "/api/v1/events",
  operationId: "listEvents",
  summary: "List events by id",
  description: "Events in the order of their ids.",
  query: z.strictObject(page),
  responses: {
    200: {
      description: "A page of events.",
      body: z.object({ events: z.array(eventSummary), next }).meta({ id: "EventPage" }),
      example: { events: [summaryExample], next: null },
    },
  },
  problems: [],
});

export const getEvent = route({
  ...ofEvents,
  path: "/api/v1/events/:eventId",
  operationId: "getEvent",
  summary: "Show an event with its sections and how many of their seats are free",
  description: "The counts come from memory, as the event's map does.",
  params: { eventId: eventIdParameter },
  responses: { 200: { description: "The event.", body: event, example: eventExample } },
  problems: ["event-not-found"],
});

export const listSections = route({
  ...ofEvents,
  path: "/api/v1/events/:eventId/sections",
  operationId: "listSections",
  summary: "Show an event's sections with their rows",
  description: "Only assigned sections have rows, numbering and a position.",
  params: { eventId: eventIdParameter },
  responses: {
    200: {
      description: "The sections in the order of their seats' ids.",
      body: z.object({ sections: z.array(section) }).meta({ id: "SectionList" }),
      example: {
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
    },
  },
  problems: ["event-not-found"],
});

const seatFilters = {
  status: seatStatus.optional().describe("Only seats in this state now."),
  ...page,
};
/** In composed form (NFC), as the catalogue stores names. */
const name = z
  .string()
  .min(1)
  .transform((text) => text.normalize("NFC"))
  .optional();

const seatPage = z.object({ seats: z.array(seat), next }).meta({ id: "SeatPage" });
const seatPageResponse = {
  description: "A page of seats.",
  body: seatPage,
  example: { seats: [seatExample], next: null },
};

export const listSeatsOfEvent = route({
  ...ofEvents,
  path: "/api/v1/events/:eventId/seats",
  operationId: "listSeatsOfEvent",
  summary: "List an event's seats by id",
  description: `Seats in the order of their ids. ${SHORT_PAGES}`,
  params: { eventId: eventIdParameter },
  query: z.strictObject({
    section: name.describe("Only seats of the section with this name."),
    row: plainText(LABEL_LIMIT_CHARACTERS).optional().describe("Only seats of rows with this label."),
    priceTier: name.describe("Only seats of the price tier with this name."),
    accessible: z
      .enum(["true", "false"])
      .transform((value) => value === "true")
      .meta({ shownAs: { type: "boolean" } })
      .optional()
      .describe("Only seats that are, or are not, accessible."),
    ...seatFilters,
  }),
  responses: { 200: seatPageResponse },
  problems: ["event-not-found"],
});

export const listSeats = route({
  ...ofSeats,
  path: "/api/v1/seats",
  operationId: "listSeats",
  summary: "List seats by id",
  description: `Seats of all events, in the order of their ids. ${SHORT_PAGES}`,
  query: z.strictObject(seatFilters),
  responses: { 200: seatPageResponse },
  problems: [],
});

export const getSeat = route({
  ...ofSeats,
  path: "/api/v1/seats/:seatId",
  operationId: "getSeat",
  summary: "Show a seat",
  description: "The seat as the database has it now.",
  params: { seatId: seatIdParameter },
  responses: { 200: { description: "The seat.", body: seat, example: seatExample } },
  problems: ["invalid-seat-id", "seat-not-found"],
});

export const getSeatHistory = route({
  ...ofSeats,
  path: "/api/v1/seats/:seatId/history",
  operationId: "getSeatHistory",
  summary: "Show the history of a seat",
  description: "One entry for each version, in their order.",
  params: { seatId: seatIdParameter },
  query: z.strictObject({
    after: wholeNumber(0, VERSION_LIMIT).describe("Only later versions.").default(0),
    limit,
  }),
  responses: {
    200: {
      description: "A page of the seat's history.",
      body: z
        .object({
          seatId: id,
          history: z.array(change),
          next: z.int().nullable().describe("The `after` of the next page; null: this is the last one."),
        })
        .meta({ id: "SeatHistory" }),
      example: {
        seatId: 2,
        history: [
          {
            ...{ version: 1, status: "RESERVED", reservationId: "019a9d0e-8a53-7000-a1b2-c3d4e5f60718" },
            ...{ replacesReservationId: null, at: "2026-11-22T16:00:00.000Z" },
          },
        ],
        next: null,
      },
    },
  },
  problems: ["invalid-seat-id", "seat-not-found"],
});

const mapSection = z
  .object({
    ...{ sectionId: id, name: z.string(), firstSeatId: id, seatCount: count },
    offset: count.describe("Where its first byte is in the data."),
  })
  .meta({ id: "MapSection" });

const map = z
  .object({
    eventId: id,
    generatedAt: time.describe("When this state was first seen; with `at`, the requested time."),
    sections: z.array(mapSection),
    encoding: z.literal("2bit-le"),
    data: z.string().meta({ contentEncoding: "base64" }),
  })
  .meta({ id: "EventMap" });

const mapHeaders: ResponseContract["headers"] = {
  ETag: "Strong; different in each form.",
  "Cache-Control": "`no-cache`; with `at` a year and `immutable`, or `no-store` within the last minute.",
  Vary: "Accept, Accept-Encoding",
};

export const getEventMap = route({
  ...ofEvents,
  path: "/api/v1/events/:eventId/map",
  operationId: "getEventMap",
  summary: "Show all seats of an event at a glance",
  description: [
    "2 bits a seat, in each byte the lowest first: 0 not known now, 1 available, 2 held, 3 reserved. The sections follow one another, and each begins with a byte of its own.",
    `The map comes from memory and may be ${MAP_AGE_MS} ms old for each ${MAP_AGE_SEATS} seats or part of them; a hold that has ended may still be shown for up to 2 s. It promises nothing: a reservation decides.`,
    "`Accept: application/octet-stream` gives the data alone, `Accept-Encoding: gzip` compresses either form.",
  ].join("\n\n"),
  params: { eventId: eventIdParameter },
  query: z.strictObject({
    at: timeOf("must be an ISO 8601 time with its zone, such as 2026-12-01T09:00:00Z (write + as %2B)")
      .meta({ shownAs: { type: "string", format: "date-time" } })
      .optional()
      .describe("The event as it was then, from the ledger; not before its creation."),
  }),
  headers: [
    {
      name: "If-None-Match",
      description: "The ETag of the map that the client has.",
      schema: z.string(),
    },
  ],
  responses: {
    200: {
      description: "The map.",
      headers: mapHeaders,
      content: {
        "application/json": {
          schema: map,
          example: {
            ...{ eventId: 1, generatedAt: "2026-11-22T16:00:00.000Z" },
            sections: [{ sectionId: 1, name: "Hall", firstSeatId: 1, seatCount: 6, offset: 0 }],
            ...{ encoding: "2bit-le", data: "XQU=" },
          },
        },
        "application/octet-stream": {
          schema: z.string().meta({ shownAs: { type: "string", format: "binary" } }),
        },
      },
    },
    304: { description: "The map is as the client has it.", headers: mapHeaders },
  },
  problems: ["event-not-found", "request-too-costly"],
});
