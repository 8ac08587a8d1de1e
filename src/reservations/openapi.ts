import type { DocumentDecoration } from "elysia";
import { guardResponses, keyWelcome } from "../access/openapi.ts";
import { jsonResponse, problemResponse, seatIdParameter } from "../http/openapi.ts";

const answer = (status: string, more: Record<string, object>) => ({
  type: "object",
  required: ["message", "seatId", "status", ...Object.keys(more)],
  properties: {
    message: { type: "string" },
    seatId: { type: "integer" },
    status: { type: "string", const: status },
    ...more,
  },
});

/** The reserve route in the API's document. */
export const reserveDetail: DocumentDecoration = {
  operationId: "reserveSeat",
  tags: ["Bookings"],
  summary: "Reserve a seat",
  description:
    "Exactly one caller wins a free seat; everybody else is told at once. After a 503 you do not have the seat: try again.",
  security: keyWelcome,
  parameters: [seatIdParameter],
  responses: {
    201: jsonResponse(
      "The seat is yours, durably.",
      answer("SUCCESS", {
        reservationId: { type: "string", format: "uuid" },
        version: { type: "integer", minimum: 1 },
      }),
      {
        message: "Seat reserved successfully",
        seatId: 2,
        status: "SUCCESS",
        reservationId: "019a9d0e-8a53-7000-a1b2-c3d4e5f60718",
        version: 1,
      },
    ),
    ...guardResponses,
    400: problemResponse(
      "The seat id is not a positive integer, or the request breaks a rule of all routes.",
      ["invalid-seat-id", "invalid-request"],
    ),
    403: problemResponse(
      "The event is not on sale, or sells to named buyers only; the role of the API key is not enough; the caller is denied; or a page of another origin sent it.",
      ["not-on-sale", "buyer-needed", "forbidden", "caller-denied"],
    ),
    404: problemResponse("There is no such seat.", ["seat-not-found"]),
    409: jsonResponse(
      "The seat is reserved, held by another, or being decided at this moment.",
      answer("TAKEN", { reason: { type: "string", enum: ["reserved", "held", "contended"] } }),
      { message: "Seat is already taken", seatId: 2, status: "TAKEN", reason: "reserved" },
    ),
    503: {
      ...jsonResponse(
        "You do not have the seat; try again after `Retry-After` seconds.",
        answer("RETRY", { reason: { type: "string", enum: ["overloaded", "unavailable", "draining"] } }),
        { message: "System is busy, please try again", seatId: 2, status: "RETRY", reason: "overloaded" },
      ),
      headers: { "Retry-After": { schema: { type: "integer" } } },
    },
  },
};
