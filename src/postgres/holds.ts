import { SQL, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { millisecondsOf, rowOf, rowsOf } from "./query.ts";

/** Selects live holds; an absent member selects all. */
export interface HoldFilter {
  eventId?: number | undefined;
  /** Same as `reservations.caller`. */
  caller?: string | undefined;
  buyerId?: string | undefined;
  /** The ids of a section's seats; selects holds with at least one of them. */
  seats?: { first: number; end: number } | undefined;
}

/** A live hold as an administrator sees it. */
export interface HoldView {
  reservationId: string;
  eventId: number;
  seatIds: number[];
  caller: string | null;
  buyerId: string | null;
  createdAtMs: number;
  expiresAtMs: number;
}

/** The total that one caller holds. */
export interface CallerHolds {
  caller: string | null;
  reservations: number;
  seats: number;
}

const meant = ({ eventId, caller, buyerId, seats }: HoldFilter): SQL =>
  sql.join(
    [
      sql`r.status = 'held' and r.expires_at > now()`,
      eventId !== undefined && sql`r.event_id = ${eventId}`,
      caller !== undefined && sql`r.caller = ${caller}`,
      buyerId !== undefined && sql`r.buyer_id = ${buyerId}`,
      seats &&
        sql`exists (select from unnest(r.seat_ids) as own(id) where own.id >= ${seats.first} and own.id < ${seats.end})`,
    ].filter((condition) => condition instanceof SQL),
    sql` and `,
  );

/** Lists holds in the order of their creation: at most `limit`, after the given one. */
export const listHolds = (
  session: NodePgDatabase,
  filter: HoldFilter,
  { after, limit }: { after: string | undefined; limit: number },
): Promise<HoldView[]> =>
  rowsOf(
    session,
    sql`select r.id as "reservationId", r.event_id::float8 as "eventId", array_to_json(r.seat_ids) as "seatIds",
               r.caller, r.buyer_id as "buyerId", ${millisecondsOf("r.created_at")} as "createdAtMs",
               ${millisecondsOf("r.expires_at")} as "expiresAtMs"
        from reservations r
        where ${meant(filter)} ${after === undefined ? sql`` : sql`and r.id > ${after}::uuid`}
        order by r.id limit ${limit}`,
  );

/** Counts the selected holds and their seats. */
export const countHolds = (session: NodePgDatabase, filter: HoldFilter) =>
  rowOf<{ reservations: number; seats: number }>(
    session,
    sql`select count(*)::float8 as reservations, coalesce(sum(r.seat_count), 0)::float8 as seats
        from reservations r where ${meant(filter)}`,
  );

/** Lists the callers with the most seats, at most `limit`. */
export const listCallers = (session: NodePgDatabase, filter: HoldFilter, limit: number) =>
  rowsOf<CallerHolds>(
    session,
    sql`select r.caller, count(*)::float8 as reservations, sum(r.seat_count)::float8 as seats
        from reservations r where ${meant(filter)}
        group by r.caller order by seats desc, r.caller limit ${limit}`,
  );
