import { seatNotFound } from "../http/parameters.ts";
import { type ProblemResponse, problem } from "../http/problem.ts";
import { never } from "../runtime/assert.ts";
import type { CatalogueEvent } from "../venue/catalogue.ts";
import type { ClosedReason } from "../venue/outcome.ts";
import { type NotOnSale, notOnSale } from "../venue/sale-window.ts";
import type { SeatId } from "../venue/seat-id.ts";
import type { Outcome } from "./outcome.ts";

/**
 * The wait that a busy answer asks for. The database's gate looks again sooner than that, and so does a drained queue.
 */
const RETRY_AFTER_SECONDS = "1";

/** The event that a seat belongs to, if this process knows it. */
export type EventOf = (seatId: SeatId) => CatalogueEvent | undefined;

const JSON_TYPE = "application/json";

/** Shared by the refusals that carry no request id, which are the most frequent answers of a sale. */
const TAKEN: ResponseInit = { status: 409, headers: { "content-type": JSON_TYPE } };

/** Answers that a seat is taken, with a request id if the caller gave one. */
export function takenAnswer(
  outcome: Extract<Outcome, { kind: "taken" }>,
  requestId: string | undefined,
): Response {
  return new Response(
    `{"message":"Seat is already taken","seatId":${outcome.seatId},"status":"TAKEN","reason":"${outcome.reason}"}`,
    requestId === undefined
      ? TAKEN
      : { status: 409, headers: { "content-type": JSON_TYPE, "x-request-id": requestId } },
  );
}

/** Answers that nobody may take seats of the event now, or nobody without a `buyerId`. */
export function closedProblem(
  why: ClosedReason,
  event: CatalogueEvent | undefined,
  headers: Record<string, string> = {},
): ProblemResponse<"not-on-sale" | "buyer-needed"> {
  switch (why) {
    case "not_on_sale":
      return notOnSaleProblem(notOnSale(event, Date.now()), headers);
    case "buyer_needed":
      return problem(
        "buyer-needed",
        "buyerId: the event limits the seats of each buyer: hold them at /api/v1/reservations for a buyerId.",
        headers,
      );
    default:
      return never(why, "reason of a closed event");
  }
}

function notOnSaleProblem(why: NotOnSale, headers: Record<string, string>) {
  const details = {
    "not-yet": `The event is not on sale yet: its sale starts at ${why.onSaleAt}.`,
    over: `The event is no longer on sale: its sale ended at ${why.offSaleAt}.`,
    closed: "The event is not on sale now.",
  };
  return problem("not-on-sale", details[why.reason], headers, why);
}

/**
 * Answers an outcome as the wire contract says. Bodies are put together as text, because the ids in them are numbers
 * and UUIDs.
 */
export function answerOf(outcome: Outcome, requestId: string, eventOf: EventOf): Response {
  const { seatId } = outcome;
  switch (outcome.kind) {
    case "won":
      return new Response(
        `{"message":"Seat reserved successfully","seatId":${seatId},"status":"SUCCESS","reservationId":"${outcome.reservationId}","version":${outcome.version}}`,
        { status: 201, headers: { "content-type": JSON_TYPE, "x-request-id": requestId } },
      );
    case "taken":
      return takenAnswer(outcome, requestId);
    case "busy":
      return new Response(
        `{"message":"System is busy, please try again","seatId":${seatId},"status":"RETRY","reason":"${outcome.reason}"}`,
        {
          status: 503,
          headers: {
            "content-type": JSON_TYPE,
            "x-request-id": requestId,
            "retry-after": RETRY_AFTER_SECONDS,
          },
        },
      );
    case "closed":
      return closedProblem(outcome.why, eventOf(seatId), { "x-request-id": requestId });
    case "missing":
      return seatNotFound(seatId, { "x-request-id": requestId });
    default:
      return never(outcome, "outcome of a reserve request");
  }
}
