import { type SQL, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";

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
      ...(eventId === undefined ? [] : [sql`r.event_id = ${eventId}`]),
      ...(caller === undefined ? [] : [sql`r.caller = ${caller}`]),
      ...(buyerId === undefined ? [] : [sql`r.buyer_id = ${buyerId}`]),
      ...(seats === undefined
        ? []
        : [
            sql`exists (select from unnest(r.seat_ids) as own(id) where own.id >= ${seats.first} and own.id < ${seats.end})`,
          ]),
    ],
    sql` and `,
  );

/** Lists holds in the order of their creation: at most `limit`, after the given one. */
export async function listHolds(
  session: NodePgDatabase,
  filter: HoldFilter,
  { after, limit }: { after: string | undefined; limit: number },
): Promise<HoldView[]> {
  const { rows } = await session.execute<HoldView & Record<string, unknown>>(sql`
    select r.id as "reservationId", r.event_id::float8 as "eventId", array_to_json(r.seat_ids) as "seatIds",
           r.caller, r.buyer_id as "buyerId", floor(extract(epoch from r.created_at) * 1000)::float8 as "createdAtMs",
           floor(extract(epoch from r.expires_at) * 1000)::float8 as "expiresAtMs"
    from reservations r
    where ${meant(filter)} ${after === undefined ? sql`` : sql`and r.id > ${after}::uuid`}
    order by r.id limit ${limit}`);
  return rows;
}

/** Counts the selected holds and their seats. */
export async function countHolds(
  session: NodePgDatabase,
  filter: HoldFilter,
): Promise<{ reservations: number; seats: number }> {
  const { rows } = await session.execute<{ reservations: number; seats: number }>(sql`
    select count(*)::float8 as reservations, coalesce(sum(r.seat_count), 0)::float8 as seats
    from reservations r where ${meant(filter)}`);
  return rows[0] ?? { reservations: 0, seats: 0 };
}

/** Lists the callers with the most seats, at most `limit`. */
export async function listCallers(
  session: NodePgDatabase,
  filter: HoldFilter,
  limit: number,
): Promise<CallerHolds[]> {
  const { rows } = await session.execute<CallerHolds & Record<string, unknown>>(sql`
    select r.caller, count(*)::float8 as reservations, sum(r.seat_count)::float8 as seats
    from reservations r where ${meant(filter)}
    group by r.caller order by seats desc, r.caller limit ${limit}`);
  return rows;
}
