import type pg from "pg";
import { assert, at } from "../runtime/assert.ts";
import type { SeatVerdict } from "../venue/outcome.ts";
import { claimOfBuyer, claimOfCaller, claimOfKey, type KeyClaim, tryClaims } from "./claims.ts";
import { executePrepared, type Prepared, prepared } from "./prepared.ts";
import { arrayOf } from "./query.ts";
import {
  capped,
  several,
  singleHolds,
  singles,
  takeStatement,
  withClaims,
  withoutClaims,
} from "./reserve-statement.ts";

/** The statement's result for one seat. */
export interface SeatRow {
  verdict: SeatVerdict;
  /** The seat's current version; null if there is no such seat. */
  version: number | null;
  /** Whether `reserved` is for good, because the seat's event has no cancellations. */
  final: boolean;
  /** For holds of existing seats: event, price and, if it was won, the hold's end in ms since 1970. */
  hold: [eventId: number, priceMinor: number, expiresAtMs: number | null] | null;
}

/** A reservation to make, with all of its seats or none. */
export interface SeatOrder {
  reservationId: string;
  isHold: boolean;
  /** The holder of the seats, as `reservations.caller` stores it; absent for a seat that is reserved at once. */
  caller?: string | null | undefined;
  /** Absent if only the seats need checking. */
  checks?: OrderChecks | undefined;
  seats: OrderedSeat[];
}

/** A wanted seat, at the version observed before the transaction began. */
interface OrderedSeat {
  seatId: number;
  version: number;
}

/** Checks beside the seats: the number of seats of the buyer and of the caller, and an unused key. */
export interface OrderChecks {
  buyerId: string | null;
  /** False if the event is known to have no limit for its buyers; their seats are then not counted. */
  isLimited?: boolean | undefined;
  key: KeyClaim | null;
  /** Maximum seats of the order's caller in live holds; absent if there is no limit. */
  callerLimitSeats?: number | undefined;
}

const reserveSeats = prepared("reserve_seats", takeStatement(singles, withoutClaims));
const holdSingleSeats = prepared("hold_single_seats", takeStatement(singleHolds, withoutClaims));
const holdSeats = prepared("hold_seats", takeStatement(several, withoutClaims));
const holdSeatsWithClaims = prepared("hold_seats_with_claims", takeStatement(several, withClaims));
const holdSeatsCapped = prepared("hold_seats_capped", takeStatement(several, capped));

/**
 * Commits one batch.
 * @returns for each order, a row for each of its seats
 * @throws the error of the connection or the server; `faultOf` tells its effect
 */
export function commitReservations(client: pg.PoolClient, orders: SeatOrder[]): Promise<SeatRow[][]> {
  return execute(client, statementFor(orders), orders, {});
}

/** Chooses the cheapest statement for the batch: only baskets need their seats grouped (docs/decisions/0017-orders-as-text.md). */
function statementFor(orders: SeatOrder[]): Prepared {
  if (orders.some(({ seats }) => seats.length > 1)) return holdSeats;
  return orders.some(({ isHold }) => isHold) ? holdSingleSeats : reserveSeats;
}

/**
 * Commits orders with checks, in a transaction whose first statement takes their claims.
 * @returns same as `commitReservations`; undefined for an order whose key, buyer or caller another
 * transaction is deciding on
 */
export async function commitReservationsWithClaims(
  client: pg.PoolClient,
  orders: SeatOrder[],
): Promise<(SeatRow[] | undefined)[]> {
  await client.query("begin");
  const refused = await tryClaims(
    client,
    orders.flatMap((order) =>
      claimsOf(order).map((claim) => ({ reservationId: order.reservationId, claim })),
    ),
  );
  const open = orders.filter(({ reservationId }) => !refused.has(reservationId));
  const caps = capsOf(orders, open);
  const rows = await execute(client, caps ? holdSeatsCapped : holdSeatsWithClaims, open, {
    checks: JSON.stringify(
      open.flatMap(({ reservationId, checks, seats }) => {
        if (!checks) return [];
        const { seatId } = at(seats, 0, "an order's first seat");
        return [{ reservationId, seatId, seatCount: seats.length, buyerId: checks.buyerId, ...checks.key }];
      }),
    ),
    buyers: open.flatMap(({ checks, seats }) => seats.map(() => checks?.buyerId ?? null)),
    ...(caps && { caps: JSON.stringify(caps) }),
  });
  await client.query("commit");
  const answers = new Map(open.map((order, index) => [order, rows[index]]));
  return orders.map((order) => answers.get(order));
}

/** Returns the claims of an order. All orders of a caller have the same claim, which the transaction takes once. */
function claimsOf({ caller, checks }: SeatOrder): string[] {
  if (!checks) return [];
  const { buyerId, isLimited = true, key, callerLimitSeats } = checks;
  return [
    ...(caller && callerLimitSeats !== undefined ? [claimOfCaller(caller)] : []),
    ...(key ? [claimOfKey(key)] : []),
    ...(buyerId !== null && isLimited ? [claimOfBuyer(buyerId)] : []),
  ];
}

/**
 * Returns, for each limited order, its number of seats and that of its caller's earlier orders; undefined if
 * no caller is limited.
 */
function capsOf(orders: SeatOrder[], open: SeatOrder[]) {
  if (!orders.some(({ checks }) => checks?.callerLimitSeats !== undefined)) return undefined;
  const before = new Map<string, number>();
  return open.flatMap(({ reservationId, caller, checks, seats: { length: seats } }) => {
    const limitSeats = checks?.callerLimitSeats;
    if (!caller || limitSeats === undefined) return [];
    const earlier = before.get(caller) ?? 0;
    before.set(caller, earlier + seats);
    return [{ reservationId, caller, limitSeats, seats, earlier }];
  });
}

async function execute(
  client: pg.PoolClient,
  statement: Prepared,
  orders: SeatOrder[],
  more: Record<string, unknown>,
): Promise<SeatRow[][]> {
  const [decided] = await executePrepared<Decided>(client, statement, { ...columnsOf(orders), ...more });
  assert(decided !== undefined, "the statement answers with one row for the batch");
  const rows = rowsOf(decided);
  const answers = orders.map(({ seats }) => rows.splice(0, seats.length));
  assert(
    rows.length === 0 && answers.every((answer, index) => answer.length === orders[index]?.seats.length),
    "the statement answers for each seat of the batch",
  );
  return answers;
}

/** Builds the statement's parameters, one value per seat. The seats of an order are consecutive. */
function columnsOf(orders: SeatOrder[]) {
  const seats = orders.flatMap((order) => order.seats.map((seat) => ({ order, seat })));
  return {
    seatIds: arrayOf(seats.map(({ seat }) => seat.seatId)),
    versions: arrayOf(seats.map(({ seat }) => seat.version)),
    reservationIds: arrayOf(seats.map(({ order }) => order.reservationId)),
    holds: arrayOf(seats.map(({ order }) => order.isHold)),
    seatCounts: arrayOf(seats.map(({ order }) => order.seats.length)),
    // Needs no quotes, as no id contains a character that ends a value.
    callers: arrayOf(seats.map(({ order }) => order.caller ?? "NULL")),
    buyers: null,
  };
}

/**
 * The statement's result: one row for the whole batch, which saves the thread a row object and 5 columns per
 * seat.
 */
type Decided = {
  /** One per seat, separated by commas; null for a batch without seats. */
  verdicts: string | null;
  versions: string;
  /** `0` or `1` per seat. */
  finals: string;
  holds: SeatRow["hold"][] | null;
};

function rowsOf({ verdicts, versions, finals, holds }: Decided): SeatRow[] {
  if (verdicts === null) return [];
  const version = versions.split(",");
  return verdicts.split(",").map((verdict, position) => ({
    verdict: verdict as SeatRow["verdict"],
    version: version[position] ? Number(version[position]) : null,
    final: finals[position] === "1",
    hold: holds?.[position] ?? null,
  }));
}
