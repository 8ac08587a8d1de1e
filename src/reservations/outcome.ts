import type { SeatId } from "../seats/seat-id.ts";

/** Everything a reserve request can come to. Only `won` changed anything. */
export type Outcome =
  /** `final`: the seat's event takes nothing back. */
  | { kind: "won"; seatId: SeatId; reservationId: string; version: number; final: boolean }
  | { kind: "taken"; seatId: SeatId; reason: TakenReason }
  | { kind: "missing"; seatId: SeatId }
  | { kind: "busy"; seatId: SeatId; reason: BusyReason };

/** `contended`: somebody is deciding on the seat at this moment. */
export type TakenReason = "reserved" | "held" | "contended";

/** Why the caller should come back: the queue is full, the database cannot be asked, or the process is ending. */
export type BusyReason = "overloaded" | "unavailable" | "draining";

/** The value of the outcome in metrics. */
export function labelOf(outcome: Outcome): "won" | TakenReason | "not_found" | BusyReason {
  switch (outcome.kind) {
    case "won":
      return "won";
    case "taken":
    case "busy":
      return outcome.reason;
    case "missing":
      return "not_found";
    default:
      return outcome satisfies never;
  }
}
