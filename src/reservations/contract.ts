import { z } from "zod";
import { type HeaderParameter, type PathParameter, route } from "../http/contract.ts";
import { id, idempotencyKeyHeader, replayedHeader, seatIdParameter } from "../http/parameters.ts";
import type { ProblemSlug } from "../http/problems.ts";
import { holdRequest } from "./hold-body.ts";
import { reservationNotFound } from "./refusals.ts";

const SEAT_ID = 2;
const RESERVATION_ID = "019a9d0e-8a53-7000-a1b2-c3d4e5f60718";
export const RESERVATIONS_PATH = "/api/v1/reservations";

/** The first booking contract, on which existing clients rely byte for byte. */
const answer = <Shape extends z.ZodRawShape>(id_: string, status: string, more: Shape) =>
  z.object({ message: z.string(), seatId: id, status: z.literal(status), ...more }).meta({ id: id_ });

/** This route is served by hand in `reserve-route.ts`: it is the sale, and nothing may stand in its way. */
export const reserveSeat = route({
  method: "POST",
  path: "/api/v1/bookings/reserve/:seatId",
  operationId: "reserveSeat",
  tag: "Bookings",
  role: "seller",
  summary: "Reserve a seat",
  description:
    "Exactly one caller wins a free seat; all others are told at once. After a 503 you do not have the seat: try again.",
  params: { seatId: seatIdParameter },
  body: "ignored",
  responses: {
    201: {
      description: "The seat is yours, durably.",
      body: answer("SeatReserved", "SUCCESS", { reservationId: z.uuid(), version: z.int().min(1) }),
      example: {
        ...{ message: "Seat reserved successfully", seatId: SEAT_ID, status: "SUCCESS" },
        ...{ reservationId: RESERVATION_ID, version: 1 },
      },
    },
    409: {
      description: "The seat is reserved, held by another buyer, or being decided at this moment.",
      body: answer("SeatTaken", "TAKEN", { reason: z.enum(["reserved", "held", "contended"]) }),
      example: {
        ...{ message: "Seat is already taken", seatId: SEAT_ID, status: "TAKEN", reason: "reserved" },
      },
    },
    503: {
      description: "You do not have the seat; try again after `Retry-After` seconds.",
      body: answer("SeatUndecided", "RETRY", { reason: z.enum(["overloaded", "unavailable", "draining"]) }),
      example: {
        ...{ message: "System is busy, please try again", seatId: SEAT_ID },
        ...{ status: "RETRY", reason: "overloaded" },
      },
      headers: { "Retry-After": "Seconds to wait." },
    },
  },
  problems: ["invalid-seat-id", "not-on-sale", "buyer-needed", "seat-not-found"],
});

const money = z
  .object({
    amountMinor: z.int().min(0).max(Number.MAX_SAFE_INTEGER).describe("In the currency's minor unit."),
    currency: z.string().describe("ISO 4217."),
  })
  .meta({ id: "Money" });

const reservedSeat = z
  .object({
    seatId: id,
    seatNumber: z.string().nullable().describe("Null in general admission."),
    section: z.string().nullable(),
    row: z.string().nullable(),
    price: z.string().describe("In units of the currency, with its decimals."),
  })
  .meta({ id: "ReservedSeat" });

const time = z.iso.datetime();

const properties = {
  reservationId: z.uuid(),
  status: z.enum(["HELD", "CONFIRMED", "RELEASED", "EXPIRED", "CANCELLED"]),
  eventId: id,
  seats: z.array(reservedSeat),
  total: money,
  expiresAt: time.optional().describe("When the hold ends, by the database's clock; only while it is held."),
};
const reservation = z.object(properties).meta({ id: "Reservation" });
export type WireReservation = z.output<typeof reservation>;
export type WireStatus = WireReservation["status"];

const hold = z
  .object({
    ...properties,
    expiresAt: time.describe("When the hold ends, by the database's clock."),
    token: z.string().describe("The buyer's proof; `X-Reservation-Token` of later requests."),
  })
  .meta({ id: "Hold" });

const example = {
  reservationId: RESERVATION_ID,
  status: "HELD",
  eventId: 1,
  seats: [
    { seatId: 24, seatNumber: "S-24", section: "Hall", row: "A", price: "150.00" },
    { seatId: 25, seatNumber: "S-25", section: "Hall", row: "A", price: "150.00" },
  ],
  total: { amountMinor: 30_000, currency: "EUR" },
  expiresAt: "2026-11-22T20:10:00.000Z",
};
const { expiresAt: _, ...ended } = example;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const reservationIdParameter: PathParameter<string> = {
  read: (text) => (UUID.test(text) ? text.toLowerCase() : undefined),
  refusal: reservationNotFound,
  schema: z.uuid(),
  description: "From the response to the hold.",
  example: RESERVATION_ID,
};
const tokenHeader: HeaderParameter = {
  name: "X-Reservation-Token",
  description: "The token from the response to the hold; not needed with a seller's API key.",
  schema: z.string(),
};

export const holdSeats = route({
  method: "POST",
  path: RESERVATIONS_PATH,
  operationId: "holdSeats",
  tag: "Reservations",
  role: "seller",
  summary: "Hold seats, all or none",
  description:
    "Exactly one of `seatIds`, `section` with `quantity`, `bestAvailable`, or `preferences`: a list of these in order, of which the first that is free wins.",
  headers: [idempotencyKeyHeader],
  body: {
    ...holdRequest,
    examples: {
      bestAvailable: { eventId: 1, bestAvailable: { quantity: 2 } },
      seatIds: { seatIds: [24, 25], buyerId: "customer-4711" },
      preferences: {
        eventId: 1,
        preferences: [
          { seatIds: [24, 25] },
          { bestAvailable: { quantity: 2, sections: ["Hall"], adjacency: "required" } },
        ],
      },
    },
  },
  responses: {
    201: {
      description: "The seats are held until `expiresAt`. Keep the token: the buyer confirms with it.",
      body: hold,
      example: { ...example, token: "qZ0xv2mX0kq3nYJ0o0bq6b3lYvU6d2c7m2r8mM5cV1E" },
      headers: { Location: "The address of the reservation.", ...replayedHeader },
      links: [
        "getReservation",
        "confirmReservation",
        "extendReservation",
        "releaseReservation",
        "cancelReservation",
      ],
    },
  },
  problems: [
    ...(["not-on-sale", "buyer-needed", "seat-not-found", "event-not-found"] as const),
    ...(["seats-taken", "no-seats-left", "buyer-limit-reached", "hold-limit-reached"] as const),
    ...(["request-in-progress", "idempotency-key-reused", "request-too-costly"] as const),
  ],
});

export const getReservation = route({
  method: "GET",
  path: `${RESERVATIONS_PATH}/:reservationId`,
  operationId: "getReservation",
  tag: "Reservations",
  role: "reader",
  summary: "Show a reservation",
  description: "The reservation as it is now.",
  params: { reservationId: reservationIdParameter },
  headers: [tokenHeader],
  responses: {
    200: {
      description: "The reservation.",
      body: z.object({ ...properties, createdAt: time }).meta({ id: "ReservationDetails" }),
      example: { ...example, createdAt: "2026-11-22T20:00:00.000Z" },
    },
  },
  problems: ["reservation-not-found"],
});

/** Makes the part of a contract that the four changes of a reservation share. */
const changed = <const Slug extends ProblemSlug>(
  description: string,
  status: string,
  slugs: readonly Slug[],
) => ({
  tag: "Reservations" as const,
  role: "seller" as const,
  params: { reservationId: reservationIdParameter },
  headers: [tokenHeader, idempotencyKeyHeader],
  responses: {
    200: {
      description,
      body: reservation,
      example: status === "HELD" ? example : { ...ended, status },
      headers: replayedHeader,
    },
  },
  problems: [
    ...(["reservation-not-found", "request-in-progress", "idempotency-key-reused"] as const),
    ...slugs,
  ],
});

const OVER = ["already-released", "already-cancelled", "already-confirmed", "reservation-expired"] as const;

const confirmReservation = route({
  method: "POST",
  path: `${RESERVATIONS_PATH}/:reservationId/confirm`,
  operationId: "confirmReservation",
  summary: "Confirm a hold",
  description:
    "Reserves the seats of a hold for good. After the end of the hold too, as long as all its seats are still free and the event is on sale.",
  ...changed("The seats are reserved, durably.", "CONFIRMED", [
    ...OVER,
    ...(["buyer-limit-reached", "confirmations-stopped"] as const),
  ]),
});

const extendReservation = route({
  method: "POST",
  path: `${RESERVATIONS_PATH}/:reservationId/extend`,
  operationId: "extendReservation",
  summary: "Extend a hold",
  description:
    "From now on for as long as the event holds seats, within the longest hold that the event allows.",
  ...changed("The seats are held until `expiresAt`.", "HELD", [
    ...OVER,
    ...(["extension-limit-reached", "extensions-stopped"] as const),
  ]),
});

const releaseReservation = route({
  method: "DELETE",
  path: `${RESERVATIONS_PATH}/:reservationId`,
  operationId: "releaseReservation",
  summary: "Release a hold",
  description: "Ends a hold before its time.",
  ...changed("The seats are free.", "RELEASED", OVER),
});

const cancelReservation = route({
  method: "POST",
  path: `${RESERVATIONS_PATH}/:reservationId/cancel`,
  operationId: "cancelReservation",
  summary: "Cancel a confirmed reservation",
  description: "Gives the seats back, if the event is `cancellable`.",
  ...changed("The seats are free.", "CANCELLED", [
    ...(["not-confirmed", "not-cancellable", "already-released", "already-cancelled"] as const),
  ]),
});

/** The changes that a reservation's owner may ask for. */
export const CHANGES = {
  confirm: confirmReservation,
  extend: extendReservation,
  release: releaseReservation,
  cancel: cancelReservation,
};
