import { Elysia } from "elysia";
import { problem } from "../http/problem.ts";
import { requestIdOf } from "../http/request-id.ts";
import { parseSeatId } from "../seats/seat-id.ts";
import type { ReservationFigures } from "../telemetry/reservation-figures.ts";
import { answerOf } from "./answer.ts";
import type { Batcher } from "./batcher.ts";
import { reserveDetail } from "./openapi.ts";

/** `POST /api/v1/bookings/reserve/{seatId}`: the sale. A body is neither needed nor read. */
export function reservationRoutes(batcher: Batcher, figures: ReservationFigures) {
  return new Elysia({ name: "reservations" }).post(
    "/api/v1/bookings/reserve/:seatId",
    ({ params, request }) => {
      const requestId = requestIdOf(request);
      const seatId = parseSeatId(params.seatId);
      if (seatId === undefined) {
        figures.invalid();
        return problem(
          "invalid-seat-id",
          "seatId must be a whole number from 1 to 9007199254740991, in decimal digits.",
          {
            "x-request-id": requestId,
          },
        );
      }
      const outcome = batcher.reserve(seatId);
      if (outcome instanceof Promise) {
        return outcome.then((decided) => {
          figures.answered(decided);
          return answerOf(decided, requestId);
        });
      }
      figures.answeredFromMemory(outcome);
      return answerOf(outcome, requestId);
    },
    { detail: reserveDetail },
  );
}
