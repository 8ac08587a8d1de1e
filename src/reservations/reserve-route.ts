import { invalidSeatId } from "../http/parameters.ts";
import { requestIdIfGiven, requestIdOf } from "../http/request-id.ts";
import type { Route } from "../http/route.ts";
import { parseSeatId, type SeatId } from "../venue/seat-id.ts";
import { answerOf, type EventOf, takenAnswer } from "./answer.ts";
import type { Batcher } from "./batcher.ts";
import { reserveSeat } from "./contract.ts";
import type { ReservationMetrics } from "./reservation-metrics.ts";

export const RESERVE_PATH = reserveSeat.path;

interface ReserveContext {
  params: Record<string, string>;
  request: Request;
}

/**
 * Runs the checks before the route. Present only if a setting asks for them, so that the route is otherwise unchanged.
 */
export type ReserveGuard = (
  path: string,
  request: Request,
  reserve: () => Response | Promise<Response>,
) => Promise<Response>;

/** Returns the refusal of a caller whom an administrator has denied, or undefined if the caller is not denied. */
export type DeniedReserving = (
  path: string,
  request: Request,
) => Response | Promise<Response | undefined> | undefined;

/**
 * Refuses a seat that memory knows to be sold for good. Returns undefined if the request has to go further. The refusal
 * changes nothing and depends only on the seat's id, so none of the checks before a route has to run for it
 * (`docs/operations/requests.md`).
 */
export const soldAtOnce =
  (batcher: Batcher, reservationMetrics: ReservationMetrics) =>
  (request: Bun.BunRequest<string>): Response | undefined => {
    const seatId = parseSeatId(request.params["seatId"] ?? "");
    if (seatId === undefined || !batcher.isSold(seatId)) return undefined;
    const outcome = { kind: "taken", seatId, reason: "reserved" } as const;
    reservationMetrics.answeredFromMemory(outcome);
    return takenAnswer(outcome, requestIdIfGiven(request));
  };

/** `POST /api/v1/bookings/reserve/{seatId}`: the sale. A body is neither required nor read. */
export function reserveRoute(
  batcher: Batcher,
  reservationMetrics: ReservationMetrics,
  eventOf: EventOf,
  guard?: ReserveGuard,
  denied?: DeniedReserving,
): Route {
  const handler = ({ params, request }: ReserveContext) => {
    const seatId = parseSeatId(params["seatId"] ?? "");
    // The answer is assigned first: a call directly after `return` makes Elysia compile an asynchronous route for every
    // answer.
    const answer =
      seatId === undefined ? refuse(request) : unlessDenied(denied?.(RESERVE_PATH, request), seatId, request);
    return answer;
  };
  const guarded =
    guard &&
    (({ params, request }: ReserveContext) =>
      guard(RESERVE_PATH, request, () => handler({ params, request })));
  return { contract: reserveSeat, handler: guarded ?? handler };

  function unlessDenied(
    refusal: ReturnType<DeniedReserving>,
    seatId: SeatId,
    request: Request,
  ): Response | Promise<Response> {
    if (refusal === undefined) return reserve(seatId, request);
    if (refusal instanceof Response) return refusal;
    return refusal.then((decided) => decided ?? reserve(seatId, request));
  }

  function refuse(request: Request): Response {
    reservationMetrics.invalid();
    return invalidSeatId({ "x-request-id": requestIdOf(request) });
  }

  function reserve(seatId: SeatId, request: Request): Response | Promise<Response> {
    const outcome = batcher.reserve(seatId);
    if (outcome instanceof Promise) {
      const requestId = requestIdOf(request);
      return outcome.then((decided) => {
        reservationMetrics.answered(decided);
        return answerOf(decided, requestId, eventOf);
      });
    }
    reservationMetrics.answeredFromMemory(outcome);
    if (outcome.kind === "taken") return takenAnswer(outcome, requestIdIfGiven(request));
    return answerOf(outcome, requestIdOf(request), eventOf);
  }
}
