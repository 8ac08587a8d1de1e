import { claimOfBuyer, claimOfKey, type KeyClaim } from "../postgres/claims.ts";
import type { OrderChecks, SeatOrder, SeatRow } from "../postgres/reserve.ts";
import { assert, at, never } from "../runtime/assert.ts";
import type { OrderAnswer, TakeResult } from "../threads/messages.ts";
import { type BusyReason, firstOf, type TakenReason, VERDICTS } from "../venue/outcome.ts";
import type { SeatId } from "../venue/seat-id.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import type { HoldOutcome, Outcome } from "./outcome.ts";

/** An order for one seat for good, from the reserve route. */
export interface ReserveOrder {
  kind: "reserve";
  reservationId: string;
  seatIds: [SeatId];
  arrivedAt: number;
  resolve(outcome: Outcome): void;
}

/** A request to the batcher for a hold. */
export interface HoldRequest {
  seatIds: SeatId[];
  buyerId: string | null;
  /** False if the event is known to have no limit for its buyers. */
  isLimited?: boolean;
  key: KeyClaim | null;
  /** The caller, as `reservations.caller` keeps it. */
  caller?: string | null;
}

/** An order that holds all of its seats for a while, or none. */
export interface HoldOrder {
  kind: "hold";
  reservationId: string;
  seatIds: SeatId[];
  /** Its buyer and key, while they are in flight. */
  claims: string[];
  checks: OrderChecks | undefined;
  caller: string | null;
  arrivedAt: number;
  resolve(outcome: HoldOutcome): void;
}

/** A request for seats, with the function that answers it. */
export type Order = ReserveOrder | HoldOrder;

/**
 * Returns the claims that only one request in flight may have, besides its seats: its key, and the buyer whose seats
 * are counted.
 */
export function claimsOf({ buyerId, isLimited = true, key }: HoldRequest): string[] {
  const claims = key ? [claimOfKey(key)] : [];
  if (buyerId !== null && isLimited) claims.push(claimOfBuyer(buyerId));
  return claims;
}

/** Returns the checks of a hold besides those of its seats; they are made under claims. Undefined if there are none. */
export function checksOf(
  { buyerId, isLimited = true, key, caller }: HoldRequest,
  limitSeats: number,
): OrderChecks | undefined {
  const callerLimitSeats = limitSeats > 0 && caller != null ? limitSeats : undefined;
  if (!key && buyerId === null && callerLimitSeats === undefined) return undefined;
  return { buyerId, isLimited, key, callerLimitSeats };
}

/** Returns the order as the database decides it: its seats at the versions that memory knows now. */
export function seatOrderOf(order: Order, memory: SeatMemory): SeatOrder {
  const { reservationId } = order;
  const seats = order.seatIds.map((seatId) => ({ seatId, version: memory.versionOf(seatId) }));
  return order.kind === "reserve"
    ? { reservationId, isHold: false, seats }
    : { reservationId, isHold: true, caller: order.caller, checks: order.checks, seats };
}

export const takenFor = (seatIds: SeatId[], reason: TakenReason): HoldOutcome => ({
  kind: "taken",
  seats: seatIds.map((seatId) => ({ seatId, reason })),
});

const UNAVAILABLE = { kind: "busy", reason: "unavailable" } as const;

/** Converts the worker's answer to the outcome of a reserve request. */
export function outcomeOf(order: ReserveOrder, answer: OrderAnswer): Outcome {
  const [seatId] = order.seatIds;
  if (answer === "undecided") return { ...UNAVAILABLE, seatId };
  assert(answer !== "claimed", "a reserve request has no claims");
  const { verdict, version, final } = at(answer, 0, "the row of a seat");
  const row = VERDICTS[verdict];
  switch (row.outcome) {
    case "won":
      assert(version !== null, "a seat that was won has a version");
      return { kind: row.outcome, seatId, reservationId: order.reservationId, version, final };
    case "taken":
      return { kind: row.outcome, seatId, reason: row.label };
    case "missing":
      return { kind: row.outcome, seatId };
    case "closed":
      return { kind: row.outcome, seatId, why: row.label };
    case "busy":
      return { ...UNAVAILABLE, seatId };
    default:
      // The other verdicts belong to orders with checks or several seats.
      throw new Error(`broken invariant: a request for one seat without checks is not ${verdict}`);
  }
}

/** Converts the worker's answer to the outcome of a request to hold seats. */
export function holdOutcomeOf(order: HoldOrder, answer: OrderAnswer): HoldOutcome {
  if (answer === "undecided") return UNAVAILABLE;
  if (answer === "claimed") return { kind: "running" };
  const { seatIds } = order;
  assert(answer.length === seatIds.length, "an order has a row for each of its seats");
  return answer.every(({ verdict }) => verdict === "won")
    ? heldOf(order, answer)
    : refusalOf(seatIds, answer);
}

function heldOf({ reservationId, seatIds }: HoldOrder, rows: SeatRow[]): HoldOutcome {
  const holds = rows.map(({ hold }) => {
    assert(hold !== null, "a seat that is held has an event, a price and an end");
    return hold;
  });
  const [eventId, , expiresAtMs] = at(holds, 0, "a held seat");
  const pricesMinor = holds.map(([, priceMinor]) => priceMinor);
  return { kind: "held", facts: { reservationId, eventId, seatIds, pricesMinor, expiresAtMs } };
}

/** Returns the first refusal that applies, in the order of the table of verdicts. */
function refusalOf(seatIds: SeatId[], rows: SeatRow[]): HoldOutcome {
  const verdict = firstOf(new Set(rows.map((row) => row.verdict)));
  assert(verdict !== undefined, "an order has seats");
  const row = VERDICTS[verdict];
  switch (row.outcome) {
    case "replayed":
    case "key_mismatch":
    case "over_limit":
    case "caller_over_limit":
    case "running":
      return { kind: row.outcome };
    case "missing":
      return {
        kind: row.outcome,
        seatIds: seatIds.filter((_, index) => rows[index]?.verdict === "missing"),
      };
    default:
  }
  // Each of two events may give a reason, but it would apply only to that event.
  if (new Set(rows.flatMap(({ hold }) => hold?.[0] ?? [])).size > 1) return { kind: "mixed" };
  switch (row.outcome) {
    case "closed":
      return { kind: row.outcome, why: row.label };
    case "too_many":
      return { kind: row.outcome };
    case "taken":
      return { kind: row.outcome, seats: takenOf(seatIds, rows) };
    case "busy":
    case "won":
      return UNAVAILABLE;
    default:
      return never(row, "verdict on an order");
  }
}

const takenOf = (seatIds: SeatId[], rows: SeatRow[]) =>
  seatIds.flatMap((seatId, index) => {
    const { verdict } = at(rows, index, "the row of a seat");
    const isTaken = verdict === "reserved" || verdict === "held" || verdict === "contended";
    return isTaken ? [{ seatId, reason: verdict }] : [];
  });

export function answerBusy(order: Order, reason: BusyReason): void {
  if (order.kind === "reserve") order.resolve({ kind: "busy", seatId: order.seatIds[0], reason });
  else order.resolve({ kind: "busy", reason });
}

/**
 * Checks that the answer fits its batch. An answer that does not fit counts as lost: the database is asked what was
 * committed.
 */
export function fitting(result: TakeResult, orders: SeatOrder[]): TakeResult {
  const fits = (answer: OrderAnswer | undefined, { seats }: SeatOrder) =>
    typeof answer === "string" || answer?.length === seats.length;
  assert(
    result === "doubtful" || orders.every((order, index) => fits(result.orders[index], order)),
    "a batch is answered for each of its orders, and an order for each of its seats",
  );
  return result;
}
