import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";

export interface DoubtfulSeats {
  seatIds: number[];
  reservationIds: string[];
}

/**
 * Settles batches whose connection or thread died after sending, by inserting every reservation id as `void`
 * (docs/decisions/0007-fence-what-is-in-doubt.md). If the lost statement has committed, the id already
 * exists. If it is still running, the insert waits for its end. If it has not begun, it will fail on the id.
 * Afterwards each id is either committed or can never be.
 * @returns the committed version of each seat, or undefined
 */
export async function settle(
  database: NodePgDatabase,
  doubt: DoubtfulSeats,
): Promise<(number | undefined)[]> {
  await database.execute(sql`
    insert into reservations (id, status, seat_count)
    select id, 'void', 0 from unnest(${sql.param(doubt.reservationIds)}::uuid[]) as id order by id
    on conflict do nothing`);
  // A separate statement, whose snapshot includes what the insert waited for.
  const committed = await database.execute<{ seat_id: string; version: number }>(sql`
    select seat_id, version from seat_events
    where seat_id = any(${sql.param(doubt.seatIds)}::bigint[]) and reservation_id = any(${sql.param(doubt.reservationIds)}::uuid[])
      and status in ('RESERVED', 'HELD')`);
  const versions = new Map(committed.rows.map((row) => [Number(row.seat_id), row.version]));
  return doubt.seatIds.map((seatId) => versions.get(seatId));
}

/**
 * Gives back seats that were committed for buyers who had to be told to try again. It is a cancellation
 * through the ledger, in the shape of every change of a seat. The versions are those that `settle` returned.
 */
export async function giveBack(
  database: NodePgDatabase,
  doubt: DoubtfulSeats,
  versions: (number | undefined)[],
): Promise<void> {
  const taken = doubt.seatIds.flatMap((seatId, position) => {
    const version = versions[position];
    return version === undefined ? [] : [{ seatId, version, reservationId: doubt.reservationIds[position] }];
  });
  if (taken.length === 0) return;
  await database.execute(sql`
with requested as materialized (
  select * from unnest(
    ${sql.param(taken.map((seat) => seat.seatId))}::bigint[], ${sql.param(taken.map((seat) => seat.version))}::int[],
    ${sql.param(taken.map((seat) => seat.reservationId))}::uuid[]
  ) as r(seat_id, version, reservation_id)
), epoch as materialized (
  select max(epoch) as current from ledger_epochs
), locked as materialized (
  select s.id, s.reservation_id
  from requested r
  join seats s on s.id = r.seat_id
  where s.version = r.version and s.status = 'reserved' and s.reservation_id = r.reservation_id
    and (s.last_epoch, s.last_txid) <= ((select current from epoch), pg_current_xact_id())
  order by s.id
  for no key update of s
), updated as (
  update seats s
  set status = 'available', version = s.version + 1, reservation_id = null,
      last_epoch = (select current from epoch), last_txid = pg_current_xact_id()
  from locked l
  where s.id = l.id
  returning s.id, s.version, s.event_id, l.reservation_id
), reservation_rows as (
  update reservations r set status = 'cancelled' from updated u where r.id = u.reservation_id
)
insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
select (select current from epoch), id, version, event_id, 'CANCELLED', reservation_id from updated`);
}
