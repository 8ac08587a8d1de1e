import { sql } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";

/**
 * The one statement that sells seats; a batch of 1 to 256 seats costs the same commit.
 *
 * Parameters: seat ids (bigint[]), the version observed for each before this transaction began (int[]),
 * a fresh reservation id for each (uuid[]). A seat stands in a batch at most once.
 * Rows: one a requested seat, in the order asked.
 *
 * Every predicate stands in `locked`, which re-checks it on the newest row under the row lock; `updated`
 * joins that result by id only. (Predicates in the UPDATE gave half-sold baskets.) SKIP LOCKED: a row
 * that somebody else is deciding on is never waited for. `(last_epoch, last_txid)` makes transaction
 * order the version order of each seat, which the ledger's reader rests on. The last column trips
 * (division by zero, class 22, everything rolled back) should the update ever miss a row it had locked.
 */
const statement = sql`
with requested as materialized (
  select * from unnest(${sql.placeholder("seatIds")}::bigint[], ${sql.placeholder("versions")}::int[], ${sql.placeholder("reservationIds")}::uuid[])
    with ordinality as r(seat_id, version, reservation_id, position)
), epoch as materialized (
  select max(epoch) as current from ledger_epochs
), seen as materialized (
  select s.id, s.version, s.status, s.hold_expires_at <= now() as hold_over, not e.cancellable as final
  from requested r
  join seats s on s.id = r.seat_id
  join events e on e.id = s.event_id
), locked as materialized (
  select s.id, r.reservation_id, s.reservation_id as replaced
  from requested r
  join seats s on s.id = r.seat_id
  where s.version = r.version
    and (s.status = 'available' or (s.status = 'held' and s.hold_expires_at <= now()))
    and (s.last_epoch, s.last_txid) <= ((select current from epoch), pg_current_xact_id())
  order by s.id
  for no key update of s skip locked
), updated as (
  update seats s
  set status = 'reserved', version = s.version + 1, reservation_id = l.reservation_id, hold_expires_at = null,
      last_epoch = (select current from epoch), last_txid = pg_current_xact_id()
  from locked l
  where s.id = l.id
  returning s.id, s.version, s.event_id, s.reservation_id, l.replaced
), reservation_rows as (
  insert into reservations (id, event_id, status, seat_count)
  select reservation_id, event_id, 'confirmed', 1 from updated
), ledger_rows as (
  insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id, replaces_reservation_id)
  select (select current from epoch), id, version, event_id, 'RESERVED', reservation_id, replaced from updated
)
select
  seen.id is not null as exists,
  coalesce(updated.version, seen.version) as version,
  updated.id is not null as won,
  seen.status::text as status,
  coalesce(seen.hold_over, false) as hold_over,
  coalesce(seen.final, false) as final,
  seen.version is distinct from requested.version as stale,
  1 / (case when (select count(*) from locked) = (select count(*) from updated) then 1 else 0 end) as tripwire
from requested
left join seen on seen.id = requested.seat_id
left join updated on updated.id = requested.seat_id
order by requested.position`;

const compiled = new PgDialect().sqlToQuery(statement);
export const reserveStatement = { name: "reserve_seats", text: compiled.sql };
