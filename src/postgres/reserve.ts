import type pg from "pg";
import { arrayOf } from "./arrays.ts";
import { claimOfBuyer, claimOfCaller, claimOfKey, type KeyClaim, tryClaims } from "./guards.ts";
import { executePrepared, type Prepared, prepared } from "./prepared.ts";
import { capped, guarded, several, singles, takeStatement, unguarded } from "./reserve-statement.ts";

/** What the statement says of one seat. */
export interface SeatRow {
  verdict:
    | "won"
    | "missing"
    | "reserved"
    | "held"
    /** Free, at another version than was observed. */
    | "moved"
    /** Somebody is deciding on it at this moment. */
    | "contended"
    /** Free, but another seat of its reservation was not to be had. */
    | "free"
    /** Its event is not on sale. */
    | "closed"
    /** Its reservation has more seats than the event allows. */
    | "too_many"
    /** Its reservation's `Idempotency-Key` was answered already, for the same request or another. */
    | "replayed"
    | "key_mismatch"
    /** Its event limits what a buyer may have: the reservation's buyer would have more, or it names none. */
    | "over_limit"
    | "buyer_needed"
    /** Its caller would have more seats in live holds than one caller may. */
    | "caller_over_limit"
    /** It would fit its caller's limit but for the caller's earlier orders in the batch: ask again. */
    | "caller_crowded";
  /** The seat's version now; null when there is no such seat. */
  version: number | null;
  /** Whether `reserved` is for good, since the seat's event takes nothing back. */
  final: boolean;
  /** For holds of seats that there are: event, price and, where it was won, end of the hold in ms since 1970. */
  hold: [eventId: number, priceMinor: number, expiresAtMs: number | null] | null;
}

/** What has to be sure beyond the seats: how many a buyer has, and that a key was not answered before. */
export interface TakeGuard {
  reservationId: string;
  buyerId: string | null;
  /** False where the event is known to have no limit for its buyers: their seats are not counted. */
  isLimited?: boolean;
  key: KeyClaim | null;
  /** The caller, if the seats that it holds are limited. */
  caller?: { id: string; limitSeats: number };
}

/** One a seat; the seats of a reservation are neighbours. */
export interface SeatRequests {
  seatIds: number[];
  versions: number[];
  reservationIds: string[];
  holds: boolean[];
  /** The caller of each hold; needed for holds only. */
  callers?: (string | null)[];
}

const reserveSeats = prepared("reserve_seats", takeStatement(singles, unguarded));
const holdSeats = prepared("hold_seats", takeStatement(several, unguarded));
const holdSeatsGuarded = prepared("hold_seats_guarded", takeStatement(several, guarded));
const holdSeatsCapped = prepared("hold_seats_capped", takeStatement(several, capped));

/**
 * Commits one batch and says of each seat why. The statement is prepared once a connection.
 * @throws what the connection or the server says; `faultOf` tells what it left behind.
 */
export function commitReservations(client: pg.PoolClient, requests: SeatRequests): Promise<SeatRow[]> {
  const isEachAlone = requests.reservationIds.every((id, place, ids) => id !== ids[place - 1]);
  const statement = isEachAlone && !requests.holds.includes(true) ? reserveSeats : holdSeats;
  return execute(client, statement, requests, {});
}

/**
 * As `commitReservations`, for reservations with a key or a buyer: in a transaction of two statements.
 * @returns undefined for the seats of reservations whose key or buyer somebody else is deciding on.
 */
export async function commitGuardedReservations(
  client: pg.PoolClient,
  requests: SeatRequests,
  guards: TakeGuard[],
): Promise<(SeatRow | undefined)[]> {
  await client.query("begin");
  const refused = await tryClaims(
    client,
    guards.flatMap(({ reservationId, buyerId, isLimited = true, key, caller }) => [
      // The same claim for all orders of a caller; the transaction takes it once.
      ...(caller ? [{ reservationId, claim: claimOfCaller(caller.id) }] : []),
      ...(key ? [{ reservationId, claim: claimOfKey(key) }] : []),
      ...(buyerId !== null && isLimited ? [{ reservationId, claim: claimOfBuyer(buyerId) }] : []),
    ]),
  );
  const open = requests.reservationIds.flatMap((id, position) => (refused.has(id) ? [] : [position]));
  const at = <T>(list: T[]) => open.map((position) => list[position] as T);
  const chosen = {
    seatIds: at(requests.seatIds),
    versions: at(requests.versions),
    reservationIds: at(requests.reservationIds),
    holds: at(requests.holds),
    ...(requests.callers && { callers: at(requests.callers) }),
  };
  const isCapped = guards.some(({ caller }) => caller !== undefined);
  const rows = await execute(client, isCapped ? holdSeatsCapped : holdSeatsGuarded, chosen, {
    guards: JSON.stringify(
      guards.map(({ reservationId, buyerId, key }) => ({ reservationId, buyerId, ...(key ?? {}) })),
    ),
    ...(isCapped && { caps: JSON.stringify(capsOf(chosen.reservationIds, guards)) }),
  });
  await client.query("commit");
  const answers: (SeatRow | undefined)[] = requests.seatIds.map(() => undefined);
  for (const [index, position] of open.entries()) answers[position] = rows[index];
  return answers;
}

/** For each limited order its number of seats, and that of its caller's earlier orders. */
function capsOf(reservationIds: string[], guards: TakeGuard[]) {
  const seatCounts = new Map<string, number>();
  for (const id of reservationIds) seatCounts.set(id, (seatCounts.get(id) ?? 0) + 1);
  const before = new Map<string, number>();
  return guards.flatMap(({ reservationId, caller }) => {
    const seats = seatCounts.get(reservationId);
    if (!caller || seats === undefined) return [];
    const earlier = before.get(caller.id) ?? 0;
    before.set(caller.id, earlier + seats);
    return [{ reservationId, caller: caller.id, limitSeats: caller.limitSeats, seats, earlier }];
  });
}

async function execute(
  client: pg.PoolClient,
  statement: Prepared,
  { seatIds, versions, reservationIds, holds, callers = [] }: SeatRequests,
  more: Record<string, unknown>,
): Promise<SeatRow[]> {
  const [decided] = await executePrepared<Decided>(client, statement, {
    seatIds: arrayOf(seatIds),
    versions: arrayOf(versions),
    reservationIds: arrayOf(reservationIds),
    holds: arrayOf(holds),
    seatCounts: arrayOf(countsOf(reservationIds)),
    // Unquoted: an id has no character that ends a value. A shorter array is padded with nulls.
    callers: arrayOf(callers.map((caller) => caller ?? "NULL")),
    ...more,
  });
  return seatRows(decided);
}

/** The statement's answer: one row for the whole batch, which spares the thread a row object and 5 columns a seat. */
type Decided = {
  /** One a seat, with commas between them; null for a batch without seats. */
  verdicts: string | null;
  versions: string;
  /** `0` or `1` a seat. */
  finals: string;
  holds: SeatRow["hold"][] | null;
};

function seatRows(decided: Decided | undefined): SeatRow[] {
  if (!decided || decided.verdicts === null) return [];
  const { finals, holds } = decided;
  const versions = decided.versions.split(",");
  return decided.verdicts.split(",").map((verdict, position) => ({
    verdict: verdict as SeatRow["verdict"],
    version: versions[position] ? Number(versions[position]) : null,
    final: finals[position] === "1",
    hold: holds?.[position] ?? null,
  }));
}

/** For each seat, how many its reservation wants. */
function countsOf(reservationIds: string[]): number[] {
  const counts: number[] = [];
  for (let first = 0; first < reservationIds.length; ) {
    let end = first + 1;
    while (reservationIds[end] === reservationIds[first]) end++;
    for (let position = first; position < end; position++) counts.push(end - first);
    first = end;
  }
  return counts;
}
