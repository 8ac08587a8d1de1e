import type { DocumentDecoration } from "elysia";
import { guardResponses, keyWelcome } from "../access/openapi.ts";
import {
  idempotencyKeyParameter,
  jsonResponse,
  keyReusedResponse,
  problemResponse,
} from "../http/openapi.ts";
import { holdBody, id } from "./hold-openapi.ts";

const reservationProperties = {
  reservationId: { type: "string", format: "uuid" },
  status: { type: "string", enum: ["HELD", "CONFIRMED", "RELEASED", "EXPIRED", "CANCELLED"] },
  eventId: id,
  seats: {
    type: "array",
    items: {
      type: "object",
      required: ["seatId", "seatNumber", "section", "row", "price"],
      properties: {
        seatId: id,
        seatNumber: { type: ["string", "null"], description: "Null in general admission." },
        section: { type: ["string", "null"] },
        row: { type: ["string", "null"] },
        price: { type: "string", description: "In units of the currency, with its decimals." },
      },
    },
  },
  total: {
    type: "object",
    required: ["amountMinor", "currency"],
    properties: {
      amountMinor: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
      currency: { type: "string", description: "ISO 4217." },
    },
  },
  expiresAt: {
    type: "string",
    format: "date-time",
    description: "End of the hold by the database's clock; while held.",
  },
};
const required = ["reservationId", "status", "eventId", "seats", "total"];
const reservationSchema = { type: "object", required, properties: reservationProperties };

const example = {
  reservationId: "019a9d0e-8a53-7000-a1b2-c3d4e5f60718",
  status: "HELD",
  eventId: 1,
  seats: [
    { seatId: 24, seatNumber: "S-24", section: "Hall", row: "A", price: "150.00" },
    { seatId: 25, seatNumber: "S-25", section: "Hall", row: "A", price: "150.00" },
  ],
  total: { amountMinor: 30000, currency: "EUR" },
  expiresAt: "2026-11-22T20:10:00.000Z",
};
const { expiresAt: _, ...ended } = example;

const retryLater = { "Retry-After": { schema: { type: "integer" as const } } };
const away = {
  ...problemResponse("Nothing is known to have changed; send it again.", ["unavailable"]),
  headers: retryLater,
};
const conflict = (...described: Parameters<typeof problemResponse>) => ({
  ...problemResponse(...described),
  headers: retryLater,
});
const OVER_LIMIT = "buyerId: the buyer would have more seats than the event allows.";
const BEING_DECIDED =
  "A request for the same reservation, buyer, caller or Idempotency-Key is being decided; send it again.";
const RELEASED = "The reservation was released; its seats are free or others'.";
const CANCELLED = "The reservation was cancelled; its seats are free or others'.";
const endedOtherwise = {
  "already-confirmed": "The reservation is confirmed, for good unless it is cancelled.",
  "already-released": RELEASED,
  "already-cancelled": CANCELLED,
};
const over = problemResponse("The hold is over.", {
  "reservation-expired": ["The hold is over.", { gone: [] }],
});
const notYours = problemResponse("There is no such reservation, or it is not the caller's.", [
  "reservation-not-found",
]);
const invalid = problemResponse("A field or header is not valid; the detail names it.", ["invalid-request"]);

const idParameter = {
  name: "reservationId",
  in: "path",
  required: true,
  example: "019a9d0e-8a53-7000-a1b2-c3d4e5f60718",
  description: "From the answer to the hold or the reservation.",
  schema: { type: "string", format: "uuid" },
} as const;
const tokenParameter = {
  name: "X-Reservation-Token",
  in: "header",
  required: false,
  description: "The token from the answer to the hold; not needed with a seller's API key.",
  schema: { type: "string" },
} as const;

export const holdDetail: DocumentDecoration = {
  operationId: "holdSeats",
  tags: ["Reservations"],
  summary: "Hold seats, all or none",
  description:
    "Exactly one of `seatIds`, `section` with `quantity`, `bestAvailable`, or `preferences`: an ordered list of these, of which the first that can be had wins.",
  security: keyWelcome,
  parameters: [idempotencyKeyParameter],
  requestBody: holdBody,
  responses: {
    ...guardResponses,
    201: {
      ...jsonResponse(
        "The seats are held until `expiresAt`. Keep the token: it is what the buyer confirms with.",
        {
          type: "object",
          required: [...required, "expiresAt", "token"],
          properties: { ...reservationProperties, token: { type: "string" } },
        },
        { ...example, token: "qZ0xv2mX0kq3nYJ0o0bq6b3lYvU6d2c7m2r8mM5cV1E" },
      ),
      links: byOwner(
        ...["getReservation", "confirmReservation", "extendReservation"],
        ...["releaseReservation", "cancelReservation"],
      ),
    },
    400: invalid,
    403: problemResponse(
      "The event is not on sale, or sells to named buyers only, the key's role is not enough, or the caller is denied.",
      ["not-on-sale", "buyer-needed", "forbidden", "caller-denied"],
    ),
    404: problemResponse("There is no such seat or event.", ["seat-not-found", "event-not-found"]),
    409: conflict(
      "Not free (`seats` with reasons, `alternatives` near them), nothing left that fits, the limit of the buyer or the caller, or the same is being decided.",
      {
        "seats-taken": [
          "Not free: 24 (held). Nothing was held.",
          {
            seats: [{ seatId: 24, reason: "held" }],
            alternatives: [26, 23, 27],
            earliestHoldEndsAt: "2026-11-22T20:10:00.000Z",
          },
        ],
        "no-seats-left": "No free seats fit the request now.",
        "hold-limit-reached":
          "The caller would have more seats in live holds than one caller may: confirm or release some first.",
        ...{ "buyer-limit-reached": OVER_LIMIT, "request-in-progress": BEING_DECIDED },
      },
    ),
    415: problemResponse("The body is not JSON.", ["unsupported-media-type"]),
    422: problemResponse(
      "The Idempotency-Key was sent with another request before, or too many seats would have to be looked at.",
      ["idempotency-key-reused", "request-too-costly"],
    ),
    503: away,
  },
};

/** The 403 of a change that a closed event may stop. */
const stopped = (slug: "extensions-stopped" | "confirmations-stopped") =>
  problemResponse(
    "The event is closed and stops this; the role of the API key is not enough; or the caller is denied.",
    [slug, "forbidden", "caller-denied"],
  );

const changeDetail = (
  operationId: string,
  summary: string,
  responses: Record<number, object>,
): DocumentDecoration => ({
  operationId,
  tags: ["Reservations"],
  summary,
  security: keyWelcome,
  parameters: [idParameter, tokenParameter, idempotencyKeyParameter],
  responses: {
    ...guardResponses,
    400: invalid,
    404: notYours,
    422: keyReusedResponse,
    503: away,
    ...responses,
  },
});

/** What can be done next with the reservation and the token of an answer. */
function byOwner(...operationIds: string[]) {
  const parameters = {
    reservationId: "$response.body#/reservationId",
    "header.X-Reservation-Token": "$response.body#/token",
  };
  return Object.fromEntries(operationIds.map((operationId) => [operationId, { operationId, parameters }]));
}

const done = (description: string, body: object) => jsonResponse(description, reservationSchema, body);

export const confirmDetail = changeDetail(
  "confirmReservation",
  "Confirm a hold: its seats are reserved. After its end too, where all its seats are still free",
  {
    200: done("Confirmed, durably.", { ...ended, status: "CONFIRMED" }),
    403: stopped("confirmations-stopped"),
    409: conflict("Confirmed, released or cancelled already, the buyer's limit, or being decided.", {
      ...endedOtherwise,
      ...{ "buyer-limit-reached": OVER_LIMIT, "request-in-progress": BEING_DECIDED },
    }),
    410: problemResponse("The hold is over; `gone` names the seats that others have.", {
      "reservation-expired": [
        "The hold is over, and others have seat 24. Nothing was confirmed.",
        { gone: [24] },
      ],
    }),
  },
);

export const extendDetail = changeDetail(
  "extendReservation",
  "Extend a hold: from now as long as its event holds seats, within the event's longest hold",
  {
    200: done("Held until `expiresAt`.", example),
    403: stopped("extensions-stopped"),
    409: conflict("It cannot last longer, has ended otherwise, or is being decided.", {
      "extension-limit-reached": "The hold lasts as long as its event allows already.",
      ...endedOtherwise,
      "request-in-progress": BEING_DECIDED,
    }),
    410: over,
  },
);

export const cancelDetail = changeDetail(
  "cancelReservation",
  "Cancel a confirmed reservation, where its event takes seats back",
  {
    200: done("Cancelled; the seats are free.", { ...ended, status: "CANCELLED" }),
    409: conflict("Not confirmed, not cancellable, cancelled already, or being decided.", {
      "not-confirmed": "Only a confirmed reservation can be cancelled; release a hold instead.",
      "not-cancellable": "The event takes nothing back.",
      ...{ "already-released": RELEASED, "already-cancelled": CANCELLED },
      "request-in-progress": BEING_DECIDED,
    }),
  },
);

export const releaseDetail = changeDetail("releaseReservation", "Release a hold", {
  200: done("Released; the seats are free.", { ...ended, status: "RELEASED" }),
  409: conflict("Confirmed, released or cancelled already, or being decided.", {
    ...endedOtherwise,
    "request-in-progress": BEING_DECIDED,
  }),
  410: over,
});

export const getDetail: DocumentDecoration = {
  operationId: "getReservation",
  tags: ["Reservations"],
  summary: "Show a reservation",
  security: keyWelcome,
  parameters: [idParameter, tokenParameter],
  responses: {
    ...guardResponses,
    200: jsonResponse(
      "As it is now.",
      {
        type: "object",
        required: [...required, "createdAt"],
        properties: { ...reservationProperties, createdAt: { type: "string", format: "date-time" } },
      },
      { ...example, createdAt: "2026-11-22T20:00:00.000Z" },
    ),
    404: notYours,
    503: away,
  },
};
