import { keyReused } from "../http/idempotency-key.ts";
import { invalidDetail, invalidValue, problem } from "../http/problem.ts";
import { never } from "../runtime/assert.ts";
import type { CatalogueEvent } from "../venue/catalogue.ts";
import { BUSY, type BusyReason, CHANGE_VERDICTS, VERDICTS } from "../venue/outcome.ts";
import type { SeatId } from "../venue/seat-id.ts";
import { closedProblem } from "./answer.ts";
import type { OwnerAction } from "./changes.ts";
import type { HoldResult } from "./holds.ts";
import type { ChangeOutcome, KeyOutcome } from "./outcome.ts";

/** The seconds over which the retries of those who lost one race are spread. */
const RETRY_SPREAD_SECONDS = 3;

const retryAfter = () => ({ "retry-after": String(1 + Math.floor(Math.random() * RETRY_SPREAD_SECONDS)) });

/** The details that a refusal may give besides its reason. */
export interface Hints {
  /** The event that the request names, if it is known. */
  event: CatalogueEvent | undefined;
  /** Free seats near the requested ones. */
  alternatives: SeatId[];
  /** The earliest end of the holds in the way, for callers who may know it. */
  earliestHoldEndsAt?: string;
}

const soonest = ({ earliestHoldEndsAt }: Hints) =>
  earliestHoldEndsAt === undefined ? {} : { earliestHoldEndsAt };

type Refused<Result extends { kind: string }, Won extends string> = Exclude<Result, { kind: Won }>;

export type HoldRefusal = Refused<HoldResult, "held" | "replay">;

export function holdProblem(refusal: HoldRefusal, hints: Hints) {
  switch (refusal.kind) {
    case "taken":
      return problem(
        VERDICTS.held.slug,
        `Not free: ${refusal.seats.map(({ seatId, reason }) => `${seatId} (${reason})`).join(", ")}. Nothing was held.`,
        retryAfter(),
        { seats: refusal.seats, alternatives: hints.alternatives, ...soonest(hints) },
      );
    case "none":
      return problem("no-seats-left", "No free seats fit the request now.", retryAfter(), soonest(hints));
    case "missing":
      return problem(VERDICTS.missing.slug, `seatIds: there is no seat ${refusal.seatIds.join(", ")}.`);
    case "no_event":
      return problem("event-not-found", `eventId: there is no event ${refusal.eventId}.`);
    case "mixed":
      return invalidValue("body", "seatIds", "must be seats of one event");
    case "unfit":
      return invalidDetail("body", refusal.detail);
    case "too_costly":
      return problem(
        "request-too-costly",
        "Too many seats would have to be looked at; name fewer sections or preferences, or let bestAvailable be adjacency preferred.",
      );
    case "too_many":
      return invalidValue("body", "seatIds", "are more than the event allows in a reservation");
    case "closed":
      return closedProblem(refusal.why, hints.event);
    case "over_limit":
      return overLimit();
    case "caller_over_limit":
      return problem(
        VERDICTS.caller_over_limit.slug,
        "The caller would have more seats in live holds than one caller may: confirm or release some first.",
        retryAfter(),
      );
    case "busy":
      return busy(refusal.reason);
    case "replayed":
    case "key_mismatch":
    case "running":
      return keyProblem(refusal);
    default:
      return never(refusal, "outcome of a hold");
  }
}

export type ChangeRefusal = Refused<ChangeOutcome, "done">;

export function changeProblem(action: OwnerAction, refusal: ChangeRefusal): Response {
  switch (refusal.kind) {
    case "missing":
      return reservationNotFound();
    case "gone":
      return problem(
        CHANGE_VERDICTS.gone.slug,
        `The hold is over, and others have seat ${refusal.seatIds.join(", ")}. Nothing was confirmed.`,
        {},
        { gone: refusal.seatIds },
      );
    case "over_limit":
      return overLimit();
    case "stopped":
      return action === "extend"
        ? problem("extensions-stopped", "The event is closed, and its holds are not extended any more.")
        : problem("confirmations-stopped", "The event is closed, and its holds are not confirmed any more.");
    case "refused":
      return statusProblem(action, refusal.status);
    case "busy":
      return busy(refusal.reason);
    case "replayed":
    case "key_mismatch":
    case "running":
      return keyProblem(refusal);
    default:
      return never(refusal, "outcome of a change");
  }
}

/** Answers the same for a reservation that does not exist and for one that is not the caller's. */
export const reservationNotFound = () =>
  problem(
    CHANGE_VERDICTS.missing.slug,
    "There is no such reservation, or X-Reservation-Token is not its token.",
  );

function statusProblem(
  action: OwnerAction,
  status: Extract<ChangeOutcome, { kind: "refused" }>["status"],
): Response {
  switch (status) {
    case "expired":
      return action === "cancel"
        ? notConfirmed()
        : problem(
            "reservation-expired",
            action === "confirm"
              ? "The hold is over, and its event is not on sale: its seats are not taken back."
              : "The hold is over.",
          );
    case "confirmed":
      return action === "cancel"
        ? problem("not-cancellable", "The event takes nothing back.")
        : problem("already-confirmed", "The reservation is confirmed, for good unless it is cancelled.");
    case "released":
      return problem("already-released", "The reservation was released; its seats are free or others'.");
    case "cancelled":
      return problem("already-cancelled", "The reservation was cancelled; its seats are free or others'.");
    case "held":
      return action === "extend"
        ? problem("extension-limit-reached", "The hold lasts as long as its event allows already.")
        : notConfirmed();
    default:
      return never(status, "status of a reservation");
  }
}

const notConfirmed = () =>
  problem("not-confirmed", "Only a confirmed reservation can be cancelled; release a hold instead.");

const overLimit = () =>
  problem(
    VERDICTS.over_limit.slug,
    "buyerId: the buyer would have more seats than the event allows.",
    retryAfter(),
  );

const REASONS: Record<BusyReason, string> = {
  overloaded: "Too many requests wait already.",
  unavailable: "It could not be decided now. Send it again, with the same Idempotency-Key if it had one.",
  draining: "This process is ending.",
};

function busy(reason: BusyReason): Response {
  return problem(BUSY[reason].slug, REASONS[reason], { "retry-after": "1" }, { reason });
}

function keyProblem({ kind }: KeyOutcome): Response {
  switch (kind) {
    case "key_mismatch":
      return keyReused();
    case "running":
    case "replayed":
      return problem(
        VERDICTS.replayed.slug,
        "A request for the same reservation, buyer, caller or Idempotency-Key is being decided; send it again.",
        retryAfter(),
      );
    default:
      return never(kind, "outcome of a key");
  }
}
