import { Elysia } from "elysia";
import { problem } from "../http/problem.ts";
import { requestIdIfGiven, requestIdOf } from "../http/request-id.ts";
import { INVALID_SEAT_ID, parseSeatId } from "../seats/seat-id.ts";
import { answerOf, takenAnswer } from "./answer.ts";
import type { Batcher } from "./batcher.ts";
import type { ReservationFigures } from "./figures.ts";
import { reserveDetail } from "./openapi.ts";

/** `POST /api/v1/bookings/reserve/{seatId}`: the sale. A body is neither needed nor read. */
export function reservationRoutes(batcher: Batcher, figures: ReservationFigures) {
  return new Elysia({ name: "reservations" }).post(
    "/api/v1/bookings/reserve/:seatId",
    ({ params, request }) => {
      const seatId = parseSeatId(params.seatId);
      if (seatId === undefined) {
        figures.invalid();
        return problem("invalid-seat-id", INVALID_SEAT_ID, { "x-request-id": requestIdOf(request) });
      }
      const outcome = batcher.reserve(seatId);
      if (outcome instanceof Promise) {
        const requestId = requestIdOf(request);
        return outcome.then((decided) => {
          figures.answered(decided);
          return answerOf(decided, requestId);
        });
      }
      figures.answeredFromMemory(outcome);
      if (outcome.kind === "taken") return takenAnswer(outcome, requestIdIfGiven(request));
      return answerOf(outcome, requestIdOf(request));
    },
    { detail: reserveDetail },
  );
}
