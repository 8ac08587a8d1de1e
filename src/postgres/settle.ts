import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { assert, at } from "../runtime/assert.ts";
import { rowsOf } from "./query.ts";

/** An order whose response was lost. */
export interface LostOrder {
  reservationId: string;
  seatIds: number[];
}

/** The versions at which an order's seats were committed; null for an order that never will be. */
export type Settled = number[] | null;

/**
 * Settles orders whose connection or thread died after sending, by inserting every reservation id as `void`
 * (docs/decisions/0007-fence-what-is-in-doubt.md). If the lost statement has committed, the id already
 * exists. If it is still running, the insert waits for its end. If it has not begun, it will fail on the id.
 * Afterwards each id is either committed or can never be.
 */
export async function settle(database: NodePgDatabase, orders: LostOrder[]): Promise<Settled[]> {
  const reservationIds = sql.param(orders.map(({ reservationId }) => reservationId));
  const seatIds = sql.param(orders.flatMap((order) => order.seatIds));
  await database.execute(sql`
    insert into reservations (id, status, seat_count)
    select id, 'void', 0 from unnest(${reservationIds}::uuid[]) as id order by id
    on conflict do nothing`);
  // A separate statement, whose snapshot includes what the insert waited for.
  const query = sql`
    select seat_id::float8 as "seatId", version from seat_events
    where seat_id = any(${seatIds}::bigint[]) and reservation_id = any(${reservationIds}::uuid[])
      and status in ('RESERVED', 'HELD')`;
  const committed = await rowsOf<{ seatId: number; version: number }>(database, query);
  const versions = new Map(committed.map(({ seatId, version }) => [seatId, version]));
  return orders.map(({ seatIds }) => {
    const found = seatIds.flatMap((seatId) => versions.get(seatId) ?? []);
    assert(found.length === 0 || found.length === seatIds.length, "an order takes all of its seats or none");
    return found.length === 0 ? null : found;
  });
}

/**
 * Gives back seats that were committed for buyers who had to be told to try again. It is a cancellation
 * through the ledger, in the shape of every change of a seat. The versions are those that `settle` returned.
 */
export async function giveBack(
  database: NodePgDatabase,
  orders: LostOrder[],
  settled: Settled[],
): Promise<void> {
  const taken = orders.flatMap(({ reservationId, seatIds }, index) => {
    const versions = settled[index];
    if (!versions) return [];
    return seatIds.map((seatId, place) => ({
      ...{ seatId, reservationId },
      version: at(versions, place, "the version of a seat"),
    }));
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
