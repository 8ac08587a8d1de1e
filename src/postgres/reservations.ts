import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { ReservationFacts } from "./change.ts";
import { type KeyClaim, keyIsAlive, liveSeatsOf } from "./claims.ts";
import { reservationPrices } from "./prices.ts";
import { millisecondsOf, rowOf, rowsOf } from "./query.ts";

/** A reservation as its owner sees it. */
export interface ReservationView extends ReservationFacts {
  /** `expired` also for a hold that is over and not swept yet. */
  status: "held" | "confirmed" | "released" | "expired" | "cancelled";
  createdAtMs: number;
}

const factsOf = (expiresAt: string) =>
  sql`r.id as "reservationId", r.event_id::float8 as "eventId", array_to_json(r.seat_ids) as "seatIds",
    ${reservationPrices("r")} as "pricesMinor", ${millisecondsOf(expiresAt)} as "expiresAtMs"`;

export async function findReservation(
  database: NodePgDatabase,
  reservationId: string,
): Promise<ReservationView | undefined> {
  const query = sql`
    select ${factsOf("r.expires_at")}, ${millisecondsOf("r.created_at")} as "createdAtMs",
           case when r.status = 'held' and r.expires_at <= now() then 'expired' else r.status::text end as status
    from reservations r where r.id = ${reservationId}::uuid and r.status <> 'void'`;
  return (await rowsOf<ReservationView>(database, query))[0];
}

/** Returns a hold as it was created, even if its buyer has since extended it through another process. */
export async function findHoldAsMade(
  database: NodePgDatabase,
  reservationId: string,
): Promise<ReservationFacts | undefined> {
  const query = sql`
    select ${factsOf("least(r.expires_at, r.created_at + e.hold_ttl_seconds * interval '1 second')")}
    from reservations r join events e on e.id = r.event_id
    where r.id = ${reservationId}::uuid and r.status <> 'void'`;
  return (await rowsOf<ReservationFacts>(database, query))[0];
}

/** Returns the reservation that was the response to a key, as it was then; undefined if there is none. */
export async function findReplay(
  database: NodePgDatabase,
  { scope, key, fingerprint }: KeyClaim,
): Promise<ReservationFacts | "key_mismatch" | undefined> {
  const query = sql`
    select k.fingerprint = ${fingerprint} as same, ${factsOf("k.expires_at")}
    from idempotency_keys k join reservations r on r.id = k.reservation_id
    where k.scope = ${scope} and k.key = ${key} and ${keyIsAlive("k")}`;
  const [row] = await rowsOf<{ same: boolean } & ReservationFacts>(database, query);
  if (!row) return undefined;
  const { same, ...facts } = row;
  return same ? facts : "key_mismatch";
}

/** How many live holds are searched for the first to end. A hold that ends later is not worth waiting for. */
const EARLIEST_LIMIT_HOLDS = 10_000;

/** Returns when the first hold on these seats, or the first hold of an event, ends; in ms since 1970. */
export async function findEarliestHoldEnd(
  database: NodePgDatabase,
  seats: number[] | { eventId: number },
): Promise<number | undefined> {
  const ends = Array.isArray(seats)
    ? sql`select hold_expires_at as ends_at from seats where id = any(${sql.param(seats)}::bigint[]) and hold_expires_at > now()`
    : sql`select expires_at as ends_at from (
        select event_id, expires_at from reservations where status = 'held' and expires_at > now()
        order by expires_at limit ${EARLIEST_LIMIT_HOLDS}
      ) as first_ones where event_id = ${seats.eventId}`;
  const query = sql`select ${millisecondsOf("min(ends_at)")} as "endsAtMs" from (${ends}) as holds`;
  return (await rowOf<{ endsAtMs: number | null }>(database, query)).endsAtMs ?? undefined;
}

/**
 * Returns whether the buyer may have `moreSeats` more seats of the event of `seatId`; true if there is no
 * such seat.
 */
export async function isWithinBuyerLimit(
  database: NodePgDatabase,
  buyerId: string,
  seatId: number,
  moreSeats: number,
): Promise<boolean> {
  const query = sql`
    select e.buyer_limit_seats is null
             or ${liveSeatsOf("b.buyer_id", "e.id", "b.no_reservation")} + ${moreSeats}::int <= e.buyer_limit_seats as "isWithin"
    from (select ${buyerId}::text as buyer_id, '00000000-0000-0000-0000-000000000000'::uuid as no_reservation) as b
    cross join seats s join events e on e.id = s.event_id
    where s.id = ${seatId}`;
  return (await rowsOf<{ isWithin: boolean }>(database, query))[0]?.isWithin ?? true;
}
