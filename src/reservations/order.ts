import { claimOfBuyer, claimOfKey, type KeyClaim } from "../postgres/guards.ts";
import type { TakeGuard } from "../postgres/reserve.ts";
import type { DoubtfulSeats } from "../postgres/settle.ts";
import type { SeatAnswer } from "../threads/messages.ts";
import type { SeatId } from "../venue/seat-id.ts";
import type { BusyReason, HoldOutcome, Outcome, TakenReason } from "./outcome.ts";

/** One seat for good: the reserve route. */
export interface ReserveOrder {
  kind: "reserve";
  reservationId: string;
  seatIds: [SeatId];
  arrivedAt: number;
  resolve(outcome: Outcome): void;
}

/** What is asked of the batcher for a hold. */
export interface HoldRequest {
  seatIds: SeatId[];
  buyerId: string | null;
  /** False where the event is known to have no limit for its buyers. */
  isLimited?: boolean;
  key: KeyClaim | null;
  /** The caller, as `reservations.caller` keeps it. */
  caller?: string | null;
}

/** What two requests must not have in flight at once, besides seats: the key, and the buyer whose seats are counted. */
export function claimsOf({ buyerId, isLimited = true, key }: HoldRequest): string[] {
  const claims = key ? [claimOfKey(key)] : [];
  if (buyerId !== null && isLimited) claims.push(claimOfBuyer(buyerId));
  return claims;
}

/** What has to be checked under a claim beside the seats of a hold; undefined if nothing has to. */
export function guardOf(
  reservationId: string,
  { buyerId, isLimited = true, key, caller }: HoldRequest,
  limitSeats: number,
): TakeGuard | undefined {
  const isCapped = limitSeats > 0 && caller != null;
  if (!key && buyerId === null && !isCapped) return undefined;
  return { reservationId, buyerId, isLimited, key, ...(isCapped && { caller: { id: caller, limitSeats } }) };
}

export const takenFor = (seatIds: SeatId[], reason: TakenReason): HoldOutcome => ({
  kind: "taken",
  seats: seatIds.map((seatId) => ({ seatId, reason })),
});

/** Seats for a while, all or none. */
export interface HoldOrder {
  kind: "hold";
  reservationId: string;
  seatIds: SeatId[];
  /** Its buyer and key, while they are in flight. */
  claims: string[];
  guard: TakeGuard | undefined;
  caller?: string | null;
  arrivedAt: number;
  resolve(outcome: HoldOutcome): void;
}

export type Order = ReserveOrder | HoldOrder;

/** A batch as the columns of the statement, one value a seat. */
export function columnsOf(batch: Order[]) {
  const seatIds: SeatId[] = [];
  const reservationIds: string[] = [];
  const holds: boolean[] = [];
  const callers: (string | null)[] = [];
  for (const order of batch) {
    const isHold = order.kind === "hold";
    for (const seatId of order.seatIds) {
      seatIds.push(seatId);
      reservationIds.push(order.reservationId);
      holds.push(isHold);
      callers.push(isHold ? (order.caller ?? null) : null);
    }
  }
  return { seatIds, reservationIds, holds, ...(holds.includes(true) && { callers }) };
}

/** What would stay sold: a hold ends by itself. */
export function soldIn(batch: Order[]): DoubtfulSeats {
  const orders = batch.filter((order) => order.kind === "reserve");
  return {
    seatIds: orders.map(({ seatIds: [seatId] }) => seatId),
    reservationIds: orders.map(({ reservationId }) => reservationId),
  };
}

/** What the worker's answer means for a reserve request. */
export function outcomeOf(order: ReserveOrder, seat: SeatAnswer | undefined): Outcome {
  const [seatId] = order.seatIds;
  switch (seat?.verdict) {
    case "won":
      return {
        kind: "won",
        seatId,
        reservationId: order.reservationId,
        version: seat.version ?? 0,
        final: seat.final,
      };
    case "reserved":
    case "held":
    case "contended":
      return { kind: "taken", seatId, reason: seat.verdict };
    case "missing":
      return { kind: "missing", seatId };
    case "closed":
      return { kind: "closed", seatId, why: "not_on_sale" };
    case "buyer_needed":
      return { kind: "closed", seatId, why: "buyer_needed" };
    // The others are of requests with a guard or with several seats, which this is not.
    default:
      return { kind: "busy", seatId, reason: "unavailable" };
  }
}

/** What the worker's answers for its seats mean for a request to hold them. */
export function holdOutcomeOf(order: HoldOrder, seats: SeatAnswer[]): HoldOutcome {
  const first = seats[0]?.verdict;
  switch (first) {
    case "claimed":
      return { kind: "running" };
    case "replayed":
    case "key_mismatch":
    case "over_limit":
    case "caller_over_limit":
      return { kind: first };
    case "caller_crowded":
      return { kind: "running" };
    default:
  }
  const having = (verdict: SeatAnswer["verdict"]) =>
    order.seatIds.filter((_, index) => seats[index]?.verdict === verdict);
  const missing = having("missing");
  if (missing.length > 0) return { kind: "missing", seatIds: missing };
  if (new Set(seats.flatMap((seat) => (seat.hold ? [seat.hold[0]] : []))).size > 1) return { kind: "mixed" };
  if (having("closed").length > 0) return { kind: "closed", why: "not_on_sale" };
  if (having("too_many").length > 0) return { kind: "too_many" };
  if (having("buyer_needed").length > 0) return { kind: "closed", why: "buyer_needed" };
  const taken = order.seatIds.flatMap((seatId, index) => {
    const reason = takenReasonOf(seats[index]);
    return reason ? [{ seatId, reason }] : [];
  });
  if (taken.length > 0) return { kind: "taken", seats: taken };
  if (having("won").length < order.seatIds.length) return { kind: "busy", reason: "unavailable" };
  const holds = seats.flatMap((seat) => (seat.hold ? [seat.hold] : []));
  return {
    kind: "held",
    facts: {
      reservationId: order.reservationId,
      eventId: holds[0]?.[0] ?? 0,
      seatIds: order.seatIds,
      pricesMinor: holds.map(([, priceMinor]) => priceMinor),
      expiresAtMs: holds[0]?.[2] ?? null,
    },
  };
}

function takenReasonOf(seat: SeatAnswer | undefined): TakenReason | undefined {
  switch (seat?.verdict) {
    case "reserved":
    case "held":
    case "contended":
      return seat.verdict;
    default:
      return undefined;
  }
}

/** Answers the order, and gives that answer. */
export function resolved<Result>(order: { resolve(outcome: Result): void }, outcome: Result): Result {
  order.resolve(outcome);
  return outcome;
}

export function answerBusy(order: Order, reason: BusyReason): void {
  if (order.kind === "reserve") order.resolve({ kind: "busy", seatId: order.seatIds[0], reason });
  else order.resolve({ kind: "busy", reason });
}
