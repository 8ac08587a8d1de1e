import type { ReservationFacts } from "../postgres/change.ts";
import { never } from "../runtime/assert.ts";
import {
  type BusyReason,
  type ClosedReason,
  type ReserveLabel,
  type TakenReason,
  VERDICTS,
} from "../venue/outcome.ts";
import type { SeatId } from "../venue/seat-id.ts";

/** Every outcome of a reserve request. Only `won` changed anything. */
export type Outcome =
  /** `final`: the seat's event takes nothing back. */
  | { kind: "won"; seatId: SeatId; reservationId: string; version: number; final: boolean }
  | { kind: "taken"; seatId: SeatId; reason: TakenReason }
  | { kind: "missing"; seatId: SeatId }
  | { kind: "closed"; seatId: SeatId; why: ClosedReason }
  | { kind: "busy"; seatId: SeatId; reason: BusyReason };

/** Every outcome of a request to hold seats. Only `held` changed anything. */
export type HoldOutcome =
  | { kind: "held"; facts: ReservationFacts }
  /** The seats that were in the way; the others were free. */
  | { kind: "taken"; seats: { seatId: SeatId; reason: TakenReason }[] }
  | { kind: "missing"; seatIds: SeatId[] }
  /** Several kinds of seats would do, but none is free. */
  | { kind: "none" }
  | { kind: "closed"; why: ClosedReason }
  /** The event allows fewer seats in a reservation. */
  | { kind: "too_many" }
  /** The seats belong to several events. */
  | { kind: "mixed" }
  /** The buyer would have more seats than the event allows. */
  | { kind: "over_limit" }
  /** The caller would have more seats in live holds than one caller may. */
  | { kind: "caller_over_limit" }
  | KeyOutcome
  | { kind: "busy"; reason: BusyReason };

/** The outcomes that an `Idempotency-Key` adds to those of its request. */
export type KeyOutcome =
  /** The key was answered before. */
  | { kind: "replayed" }
  /** The key was answered before, for another request. */
  | { kind: "key_mismatch" }
  /** Another request with the same key, or for the same buyer, is being decided at this moment. */
  | { kind: "running" };

/** Every outcome of a change of a reservation. Only `done` changed anything. */
export type ChangeOutcome =
  | { kind: "done"; facts: ReservationFacts }
  | { kind: "missing" }
  /** The reservation's state does not allow the change. */
  | { kind: "refused"; status: "held" | "confirmed" | "released" | "expired" | "cancelled" }
  /** The hold is over, and others have taken these of its seats. */
  | { kind: "gone"; seatIds: number[] }
  /** The event is closed, and its closing stops the action. */
  | { kind: "stopped" }
  | { kind: "over_limit" }
  | KeyOutcome
  | { kind: "busy"; reason: BusyReason };

/** Returns the label of the outcome in metrics. */
export function labelOf(outcome: Outcome): ReserveLabel {
  switch (outcome.kind) {
    case "won":
    case "missing":
      return VERDICTS[outcome.kind].label;
    case "taken":
    case "busy":
      return outcome.reason;
    case "closed":
      return outcome.why;
    default:
      return never(outcome, "outcome of a reserve request");
  }
}
