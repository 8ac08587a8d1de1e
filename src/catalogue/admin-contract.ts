import { REASON_HEADER } from "../access/act-origin.ts";
import { route } from "../http/contract.ts";
import { eventIdParameter, idempotencyKeyHeader, replayedHeader } from "../http/parameters.ts";
import { event, eventExample } from "./contract.ts";
import { closing, eventChange, eventDescription, shownDescription } from "./description.ts";

/** The contracts of the routes that create and change events. */

const EVENTS = "/api/v1/admin/events";

const shared = { tag: "Administration", role: "admin" } as const;

export const createEvent = route({
  ...shared,
  method: "POST",
  path: EVENTS,
  operationId: "createEvent",
  summary: "Create an event with all its seats",
  description: [
    "Rows and seat numbers follow from the description: 100,000 seats are one request. A section has `rows` as a number with `seatsPerRow`, or as a list; `areas` describe parts of it that differ; in a section of kind `general` nobody picks a seat.",
    "All or nothing, in one transaction. What is sold meanwhile is published when it has committed (about 11 s for 1,000,000 seats). With an Idempotency-Key it may be sent again after a lost response.",
  ].join("\n\n"),
  headers: [idempotencyKeyHeader, REASON_HEADER],
  body: {
    schema: eventDescription,
    shown: shownDescription,
    examples: {
      concert: {
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
      },
    },
  },
  responses: {
    201: {
      description: "The event is created.",
      body: event,
      example: eventExample,
      headers: { Location: "The address of the event.", ...replayedHeader },
    },
  },
  problems: ["idempotency-key-reused"],
});

const changed = { description: "The event as it is now.", body: event, example: eventExample };

export const changeEvent = route({
  ...shared,
  method: "PATCH",
  path: `${EVENTS}/:eventId`,
  operationId: "changeEvent",
  summary: "Change an event",
  description:
    "Fields that are left out stay as they are; null removes a limit or a time. The currency, the prices, the sections and `cancellable` are fixed once the event is created. Other processes learn of the change within a second; the database decides.",
  params: { eventId: eventIdParameter },
  headers: [REASON_HEADER],
  body: {
    schema: eventChange,
    examples: { later: { offSaleAt: "2026-12-31T20:00:00+01:00", holdTtlSeconds: 900 } },
  },
  responses: { 200: changed },
  problems: ["event-not-found"],
});

const switched = {
  params: { eventId: eventIdParameter },
  headers: [idempotencyKeyHeader, REASON_HEADER],
  responses: { 200: { ...changed, headers: replayedHeader } },
  problems: ["event-not-found", "idempotency-key-reused"],
} as const;

export const openEvent = route({
  ...shared,
  ...switched,
  method: "POST",
  path: `${EVENTS}/:eventId/open`,
  operationId: "openEvent",
  summary: "Open an event for sale",
  description:
    "The event sells within its sale times. Extensions and confirmations that closing it had stopped are possible again.",
});

export const closeEvent = route({
  ...shared,
  ...switched,
  method: "POST",
  path: `${EVENTS}/:eventId/close`,
  operationId: "closeEvent",
  summary: "Close an event: sales stop, and sold and held seats stay as they are",
  description:
    "With `stopExtensions` or `stopConfirmations` the event's holds cannot be extended or confirmed while it is closed; they expire or are released. Every call sets both options (false if left out), and opening the event resets them.",
  body: {
    schema: closing,
    examples: { stopEverything: { stopExtensions: true, stopConfirmations: true } },
    isOptional: true,
  },
});
