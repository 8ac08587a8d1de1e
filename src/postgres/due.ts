import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { KEY_LIFETIME_HOURS } from "./claims.ts";
import { rowOf, rowsOf } from "./query.ts";

/**
 * Spreads sweeping: each hold is swept up to this long after its end, so that holds of one instant are not
 * freed in one instant. The delay is derived from the random last digits of the id.
 */
const JITTER_MS = 1000;

/** After this, the sweeper, with its jitter and pauses, must have ended the hold. */
const OVERDUE_AFTER_MS = 2000;

/**
 * Reads expired holds that are due for sweeping, oldest first, with at most `limitSeats` seats in total.
 * @param after only holds after this one in that order, even if it has ended meanwhile
 */
export async function readDueHolds(
  session: NodePgDatabase,
  limitSeats: number,
  after?: string,
): Promise<string[]> {
  const place = sql`from reservations where id = ${after ?? null}::uuid`;
  const isNext =
    after === undefined
      ? sql`true`
      : // The index can use the first half only.
        sql`expires_at >= (select expires_at ${place}) and (expires_at, id) > (select expires_at, id ${place})`;
  const query = sql`
    with due as (
      select id, expires_at, seat_count from reservations
      where status = 'held' and expires_at <= now() and ${isNext}
        and expires_at + (('x' || right(id::text, 4))::bit(16)::int % ${JITTER_MS}) * interval '1 ms' <= now()
      order by expires_at, id limit ${limitSeats}
    ), counted as (
      select id, expires_at, sum(seat_count) over (order by expires_at, id) as seats from due
    )
    select id from counted where seats <= ${limitSeats} order by expires_at, id`;
  return (await rowsOf<{ id: string }>(session, query)).map(({ id }) => id);
}

/** Holds whose sweeping is so late that something must be blocking the sweeper. */
export interface OverdueHolds {
  /** Counted up to the limit. */
  count: number;
  /** How long ago the oldest of them expired; 0 if there are none. */
  oldestSeconds: number;
}

/** Counts overdue holds, reading at most `limit` entries of the index of holds. */
export const readOverdueHolds = (session: NodePgDatabase, limit: number): Promise<OverdueHolds> =>
  rowOf(
    session,
    sql`select count(*)::int as count,
               coalesce(extract(epoch from now() - min(expires_at)), 0)::float8 as "oldestSeconds"
        from (
          select expires_at from reservations
          where status = 'held' and expires_at <= now() - ${OVERDUE_AFTER_MS} * interval '1 ms'
          order by expires_at limit ${limit}
        ) as overdue`,
  );

/** Reads the seats that the expiry of these reservations has freed, with their versions at that time. */
export async function readFreed(
  session: NodePgDatabase,
  reservationIds: string[],
): Promise<[seatId: number, version: number][]> {
  const query = sql`
    select e.seat_id::float8 as "seatId", e.version
    from reservations r cross join lateral unnest(r.seat_ids) as own(seat_id)
    join seat_events e on e.seat_id = own.seat_id and e.reservation_id = r.id and e.status = 'EXPIRED'
    where r.id = any(${sql.param(reservationIds)}::uuid[])`;
  const rows = await rowsOf<{ seatId: number; version: number }>(session, query);
  return rows.map(({ seatId, version }) => [seatId, version]);
}

/**
 * Removes at most `limit` expired keys.
 * @returns the number removed
 */
export async function removeOldKeys(session: NodePgDatabase, limit: number): Promise<number> {
  const removed = await session.execute(sql`
    delete from idempotency_keys where ctid = any(array(
      select ctid from idempotency_keys
      where created_at <= now() - ${KEY_LIFETIME_HOURS} * interval '1 hour'
      order by created_at limit ${limit}))`);
  return removed.rowCount ?? 0;
}
