import { claimOfBuyer, claimOfKey, type KeyClaim } from "../postgres/guards.ts";
import type { SeatOrder, SeatRow, TakeGuard } from "../postgres/reserve.ts";
import { assert, at, never } from "../runtime/assert.ts";
import type { OrderAnswer, TakeResult } from "../threads/messages.ts";
import type { SeatId } from "../venue/seat-id.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
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

/** Seats for a while, all or none. */
export interface HoldOrder {
  kind: "hold";
  reservationId: string;
  seatIds: SeatId[];
  /** Its buyer and key, while they are in flight. */
  claims: string[];
  guard: TakeGuard | undefined;
  caller: string | null;
  arrivedAt: number;
  resolve(outcome: HoldOutcome): void;
}

/** A request for seats and its answer's way back. */
export type Order = ReserveOrder | HoldOrder;

/** What two requests must not have in flight at once, besides seats: the key, and the buyer whose seats are counted. */
export function claimsOf({ buyerId, isLimited = true, key }: HoldRequest): string[] {
  const claims = key ? [claimOfKey(key)] : [];
  if (buyerId !== null && isLimited) claims.push(claimOfBuyer(buyerId));
  return claims;
}

/** What has to be checked under a claim beside the seats of a hold; undefined if nothing has to. */
export function guardOf(
  { buyerId, isLimited = true, key, caller }: HoldRequest,
  limitSeats: number,
): TakeGuard | undefined {
  const callerLimitSeats = limitSeats > 0 && caller != null ? limitSeats : undefined;
  if (!key && buyerId === null && callerLimitSeats === undefined) return undefined;
  return { buyerId, isLimited, key, callerLimitSeats };
}

/** The order as the database decides on it: its seats at the versions that memory knows now. */
export function seatOrderOf(order: Order, memory: SeatMemory): SeatOrder {
  const { reservationId } = order;
  const seats = order.seatIds.map((seatId) => ({ seatId, version: memory.versionOf(seatId) }));
  return order.kind === "reserve"
    ? { reservationId, isHold: false, seats }
    : { reservationId, isHold: true, caller: order.caller, guard: order.guard, seats };
}

export const takenFor = (seatIds: SeatId[], reason: TakenReason): HoldOutcome => ({
  kind: "taken",
  seats: seatIds.map((seatId) => ({ seatId, reason })),
});

const UNAVAILABLE = { kind: "busy", reason: "unavailable" } as const;

/** What the worker's answer means for a reserve request. */
export function outcomeOf(order: ReserveOrder, answer: OrderAnswer): Outcome {
  const [seatId] = order.seatIds;
  if (answer === "undecided") return { ...UNAVAILABLE, seatId };
  assert(answer !== "claimed", "a reserve request has no claims");
  const { verdict, version, final } = at(answer, 0, "the row of a seat");
  switch (verdict) {
    case "won":
      assert(version !== null, "a seat that was won has a version");
      return { kind: "won", seatId, reservationId: order.reservationId, version, final };
    case "reserved":
    case "held":
    case "contended":
      return { kind: "taken", seatId, reason: verdict };
    case "missing":
      return { kind: "missing", seatId };
    case "closed":
      return { kind: "closed", seatId, why: "not_on_sale" };
    case "buyer_needed":
      return { kind: "closed", seatId, why: "buyer_needed" };
    case "free":
    case "moved":
      return { ...UNAVAILABLE, seatId };
    case "too_many":
    case "replayed":
    case "key_mismatch":
    case "over_limit":
    case "caller_over_limit":
    case "caller_crowded":
      throw new Error(`broken invariant: a request for one seat without a guard is not ${verdict}`);
    default:
      return never(verdict, "verdict on a seat");
  }
}

/** What the worker's answer means for a request to hold seats. */
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

/** The first reason that applies, in the order in which they are told. */
function refusalOf(seatIds: SeatId[], rows: SeatRow[]): HoldOutcome {
  const verdicts = new Set(rows.map(({ verdict }) => verdict));
  // These are said of the whole order, and of each of its seats.
  for (const verdict of ["replayed", "key_mismatch", "over_limit", "caller_over_limit"] as const)
    if (verdicts.has(verdict)) return { kind: verdict };
  if (verdicts.has("caller_crowded")) return { kind: "running" };
  if (verdicts.has("missing"))
    return { kind: "missing", seatIds: seatIds.filter((_, index) => rows[index]?.verdict === "missing") };
  if (new Set(rows.flatMap(({ hold }) => hold?.[0] ?? [])).size > 1) return { kind: "mixed" };
  if (verdicts.has("closed")) return { kind: "closed", why: "not_on_sale" };
  if (verdicts.has("too_many")) return { kind: "too_many" };
  if (verdicts.has("buyer_needed")) return { kind: "closed", why: "buyer_needed" };
  const seats = seatIds.flatMap((seatId, index) => {
    const reason = takenReasonOf(at(rows, index, "the row of a seat"));
    return reason ? [{ seatId, reason }] : [];
  });
  return seats.length > 0 ? { kind: "taken", seats } : UNAVAILABLE;
}

const takenReasonOf = ({ verdict }: SeatRow): TakenReason | undefined =>
  verdict === "reserved" || verdict === "held" || verdict === "contended" ? verdict : undefined;

export function answerBusy(order: Order, reason: BusyReason): void {
  if (order.kind === "reserve") order.resolve({ kind: "busy", seatId: order.seatIds[0], reason });
  else order.resolve({ kind: "busy", reason });
}

/** An answer that does not fit its batch is as good as lost: the database is asked what it has done. */
export function fitting(result: TakeResult, orders: SeatOrder[]): TakeResult {
  const fits = (answer: OrderAnswer | undefined, { seats }: SeatOrder) =>
    typeof answer === "string" || answer?.length === seats.length;
  assert(
    result === "doubtful" || orders.every((order, index) => fits(result.orders[index], order)),
    "a batch is answered for each of its orders, and an order for each of its seats",
  );
  return result;
}
