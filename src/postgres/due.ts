import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { KEY_LIFETIME_HOURS } from "./guards.ts";

/**
 * A hold is swept up to a second after its end, each at a moment of its own: what was held in one instant
 * is not freed in one instant. The moment follows from the id's random end.
 */
const JITTER_MS = 1000;

/** Holds that are over and due, the oldest first, with at most so many seats. */
export async function readDueHolds(session: NodePgDatabase, limitSeats: number): Promise<string[]> {
  const { rows } = await session.execute<{ id: string }>(sql`
    with due as (
      select id, expires_at, seat_count from reservations
      where status = 'held' and expires_at <= now()
        and expires_at + (('x' || right(id::text, 4))::bit(16)::int % ${JITTER_MS}) * interval '1 ms' <= now()
      order by expires_at limit ${limitSeats}
    ), counted as (
      select id, expires_at, sum(seat_count) over (order by expires_at, id) as seats from due
    )
    select id from counted where seats <= ${limitSeats} order by expires_at`);
  return rows.map(({ id }) => id);
}

/** The seats that these reservations' expiry has freed, with their versions then. */
export async function readFreed(
  session: NodePgDatabase,
  reservationIds: string[],
): Promise<[seatId: number, version: number][]> {
  const { rows } = await session.execute<{ seatId: number; version: number }>(sql`
    select e.seat_id::float8 as "seatId", e.version
    from reservations r cross join lateral unnest(r.seat_ids) as own(seat_id)
    join seat_events e on e.seat_id = own.seat_id and e.reservation_id = r.id and e.status = 'EXPIRED'
    where r.id = any(${sql.param(reservationIds)}::uuid[])`);
  return rows.map(({ seatId, version }) => [seatId, version]);
}

/** Removes keys that no longer count, at most so many. @returns how many. */
export async function removeOldKeys(session: NodePgDatabase, limit: number): Promise<number> {
  const removed = await session.execute(sql`
    delete from idempotency_keys where ctid = any(array(
      select ctid from idempotency_keys
      where created_at <= now() - ${KEY_LIFETIME_HOURS} * interval '1 hour'
      order by created_at limit ${limit}))`);
  return removed.rowCount ?? 0;
}
