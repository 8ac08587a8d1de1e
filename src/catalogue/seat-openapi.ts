import type { DocumentDecoration } from "elysia";
import { guardResponses, keyWelcome } from "../access/openapi.ts";
import { jsonResponse, problemResponse, seatIdParameter } from "../http/openapi.ts";

const STATUSES = ["available", "held", "reserved"];
const nullable = (type: string, description: string) => ({ type: [type, "null"], description });

const seatProperties: Record<string, object> = {
  seatId: { type: "integer" },
  eventId: { type: "integer" },
  section: nullable("string", "Its name."),
  row: nullable("string", "Null in general admission."),
  seatNumber: nullable("string", "Null in general admission."),
  status: { type: "string", enum: STATUSES, description: "A hold that is over may be seen for up to 2 s." },
  version: { type: "integer", minimum: 0, description: "Changes so far." },
  price: nullable("string", "In units of the currency, with its decimals."),
  currency: nullable("string", "ISO 4217."),
  priceTier: nullable("string", "Its name."),
  accessible: { type: "boolean" },
  restrictedView: { type: "boolean" },
  x: nullable("number", "In the event's own coordinates."),
  y: nullable("number", "In the event's own coordinates."),
};
const seatSchema = { type: "object", required: Object.keys(seatProperties), properties: seatProperties };

export const seatExample = {
  seatId: 2,
  eventId: 1,
  section: "Hall",
  row: "A",
  seatNumber: "S-2",
  status: "available",
  version: 0,
  price: "150.00",
  currency: "EUR",
  priceTier: "Standard",
  accessible: false,
  restrictedView: false,
  x: -23.5,
  y: 0,
};

export const nextPage = { type: ["integer", "null"] };
export const seatListSchema = {
  type: "object",
  required: ["seats", "next"],
  properties: { seats: { type: "array", items: seatSchema }, next: nextPage },
};

const limitParameter = {
  name: "limit",
  in: "query",
  description: "At most so many in one answer.",
  schema: { type: "integer", minimum: 1, maximum: 1000, default: 100 },
} as const;
export const pageParameters: NonNullable<DocumentDecoration["parameters"]> = [
  {
    name: "after",
    in: "query",
    description: "Only those with a greater id.",
    schema: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0 },
  },
  limitParameter,
];
export const statusParameter = {
  name: "status",
  in: "query",
  description: "Only seats that are so now.",
  schema: { type: "string", enum: STATUSES },
} as const;

const shared = { tags: ["Seats"], security: keyWelcome };
const away = problemResponse("The database cannot be asked now.", ["unavailable"]);

export const seatDetail: DocumentDecoration = {
  ...shared,
  operationId: "getSeat",
  summary: "Show a seat",
  parameters: [seatIdParameter],
  responses: {
    ...guardResponses,
    200: jsonResponse("The seat as it is now.", seatSchema, seatExample),
    400: problemResponse("The seat id is not a positive integer.", ["invalid-seat-id"]),
    404: problemResponse("There is no such seat.", ["seat-not-found"]),
    503: away,
  },
};

export const seatsDetail: DocumentDecoration = {
  ...shared,
  operationId: "listSeats",
  summary: "List seats by id",
  parameters: [statusParameter, ...pageParameters],
  responses: {
    ...guardResponses,
    200: jsonResponse(
      "Seats in the order of their ids; `next` is the `after` of the next page, or null; a page may be short though more follow.",
      seatListSchema,
      { seats: [seatExample], next: null },
    ),
    400: problemResponse("A parameter is not valid; the detail names it.", ["invalid-request"]),
    503: away,
  },
};

const historyProperties: Record<string, object> = {
  version: { type: "integer", minimum: 1 },
  status: {
    type: "string",
    enum: ["RESERVED", "HELD", "EXTENDED", "RELEASED", "EXPIRED", "CANCELLED"],
    description: "What was done to the seat.",
  },
  reservationId: {
    ...{ type: ["string", "null"], format: "uuid" },
    description: "Null for callers without a seller's API key.",
  },
  replacesReservationId: {
    ...{ type: ["string", "null"], format: "uuid" },
    description: "Whose hold was over and was taken over.",
  },
  at: { type: "string", format: "date-time" },
};

export const historyDetail: DocumentDecoration = {
  ...shared,
  operationId: "getSeatHistory",
  summary: "Show what has happened to a seat",
  parameters: [
    seatIdParameter,
    {
      name: "after",
      in: "query",
      description: "Only later versions.",
      schema: { type: "integer", minimum: 0, maximum: 2 ** 31 - 1, default: 0 },
    },
    limitParameter,
  ],
  responses: {
    ...guardResponses,
    200: jsonResponse(
      "One row a version, in their order; `next` is the `after` of the next page, or null; a page may be short though more follow.",
      {
        type: "object",
        required: ["seatId", "history", "next"],
        properties: {
          seatId: { type: "integer" },
          history: {
            type: "array",
            items: {
              type: "object",
              required: Object.keys(historyProperties),
              properties: historyProperties,
            },
          },
          next: nextPage,
        },
      },
      {
        seatId: 2,
        history: [
          {
            version: 1,
            status: "RESERVED",
            reservationId: "019a9d0e-8a53-7000-a1b2-c3d4e5f60718",
            replacesReservationId: null,
            at: "2026-11-22T16:00:00.000Z",
          },
        ],
        next: null,
      },
    ),
    400: problemResponse("The seat id or a parameter is not valid; the detail names it.", [
      "invalid-seat-id",
      "invalid-request",
    ]),
    404: problemResponse("There is no such seat.", ["seat-not-found"]),
    503: away,
  },
};
