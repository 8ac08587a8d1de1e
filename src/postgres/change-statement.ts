import { type SQL, sql } from "drizzle-orm";
import { isAmong, isNotAmong } from "./among.ts";
import { liveKeyOf, liveSeatsOf, onSale, replaceKey } from "./claims.ts";

/**
 * Whether a reservation's state allows an action. `row` is the reservation, either as it was first read or as
 * its newest version under its lock.
 *
 * An expired hold does not count against its buyer's limit. Anything that makes it count again, or for
 * longer, therefore needs the buyer's claim, and the clock after the claim (`now()` is the start of the
 * transaction). Otherwise the buyer could take other seats at the hold's end and confirm the hold from just
 * before it, which was seen.
 */
const allows = (row: string, { isWithinLimit, isClaimed, isCallerClaimed }: ClaimParts) => sql`
  case n.action
    when 'confirm' then not n.stops_confirmations and (${sql.raw(row)}.status = 'held' and ${sql.raw(row)}.expires_at > statement_timestamp() and ${isClaimed}
      or ${sql.raw(row)}.status in ('held', 'expired') and n.on_sale and ${isWithinLimit})
    when 'release' then ${sql.raw(row)}.status = 'held' and ${sql.raw(row)}.expires_at > statement_timestamp()
    when 'extend' then ${sql.raw(row)}.status = 'held' and ${sql.raw(row)}.expires_at > statement_timestamp()
      and not n.stops_extensions and n.extended_to > ${sql.raw(row)}.expires_at and ${isClaimed} and ${isCallerClaimed}
    when 'cancel' then ${sql.raw(row)}.status = 'confirmed' and n.cancellable
    else ${sql.raw(row)}.status = 'held' and ${sql.raw(row)}.expires_at <= statement_timestamp()
  end`;

/**
 * The one statement that changes reservations, each entirely or not at all. It has the shape of the statement
 * that takes seats (`reserve-statement.ts`): predicates under the lock, updates by id only, one ledger row
 * per seat.
 *
 * Parameters, one value per reservation: its id, the action, the id of the change, and the id of the
 * administrator's act that orders it, if any. A batch contains a reservation at most once.
 *
 * - The reservation's row is locked first, then its seats, so that two requests for one reservation run one
 *   after the other. It never waits: a lock that is taken gives `again`.
 * - Confirming an expired hold takes back its seats in the same transaction if all of them are still free,
 *   otherwise none.
 * - Expiry frees the seats that are still the reservation's; others may have taken some over.
 * - The change's id is in its ledger rows. An attempt whose result was lost is found by it; otherwise the id
 *   is fenced off in the reservation's row, which this statement checks under the lock (`recall.ts`).
 */
export const changeStatement = (parts: ClaimParts) => sql`
with requested as materialized (
  select * from unnest(${sql.placeholder("reservationIds")}::uuid[], ${sql.placeholder("actions")}::text[], ${sql.placeholder("changeIds")}::uuid[],
    ${sql.placeholder("actIds")}::bigint[]) with ordinality as q(id, action, change_id, act_id, position)
), epoch as materialized (
  select max(epoch) as current from ledger_epochs
)${parts.checks}, seen as materialized (
  select n.*, ${allows("n", parts)} as allowed
  from (
    select q.position, q.action, q.change_id, q.act_id, r.*, e.cancellable, e.buyer_limit_seats,
           e.status = 'closed' and e.stops_confirmations as stops_confirmations,
           e.status = 'closed' and e.stops_extensions as stops_extensions,
           least(now() + e.hold_ttl_seconds * interval '1 second', r.created_at + e.hold_limit_seconds * interval '1 second') as extended_to,
           ${onSale} as on_sale
    from requested q
    join reservations r on r.id = q.id
    join events e on e.id = r.event_id
  ) n
), owners as materialized (
  select r.id, r.event_id, r.seat_ids, r.seat_count, n.position, n.action, n.change_id, n.act_id, not n.cancellable as final,
         case when n.action = 'extend' then n.extended_to else r.expires_at end as expires_at
  from seen n
  join reservations r on r.id = n.id
  where n.allowed and ${allows("r", parts)}${parts.barred}
    and (r.fenced_change_ids is null or n.change_id <> all(r.fenced_change_ids))
  order by r.id
  for no key update of r skip locked
), locked as materialized (
  select s.id, o.id as reservation_id, o.position, o.action, o.change_id, o.act_id, o.expires_at, nullif(s.reservation_id, o.id) as replaced
  from owners o
  cross join lateral unnest(o.seat_ids) as seat_id
  join seats s on s.id = seat_id
  where (s.last_epoch, s.last_txid) <= ((select current from epoch), pg_current_xact_id())
    and case o.action
      when 'cancel' then s.status = 'reserved' and s.reservation_id = o.id
      when 'confirm' then s.status = 'available' or (s.status = 'held' and (s.reservation_id = o.id or s.hold_expires_at <= now()))
      else s.status = 'held' and s.reservation_id = o.id
    end
  order by s.id
  for no key update of s skip locked
), counted as materialized (
  select position, count(*) as seats from locked group by position
), whole as materialized (
  select o.* from owners o left join counted using (position)
  where coalesce(counted.seats, 0) = case when o.action = 'expire'
    then (select count(*) from seats s where s.id = any(o.seat_ids) and s.reservation_id = o.id and s.status = 'held')
    else o.seat_count end
), taken as materialized (
  select * from locked where ${isAmong("position", "position", "whole")}
), updated as (
  update seats s
  set status = case t.action when 'confirm' then 'reserved'::seat_status when 'extend' then 'held' else 'available' end,
      version = s.version + 1,
      reservation_id = case when t.action in ('confirm', 'extend') then t.reservation_id end,
      hold_expires_at = case when t.action = 'extend' then t.expires_at end,
      last_epoch = (select current from epoch), last_txid = pg_current_xact_id()
  from taken t
  where s.id = t.id
  returning s.id, s.version, s.event_id, s.hold_expires_at, t.reservation_id, t.replaced, t.action, t.change_id, t.act_id, t.position
), reservation_rows as (
  update reservations r
  set status = case w.action when 'confirm' then 'confirmed'::reservation_status when 'extend' then 'held'
                 when 'release' then 'released' when 'cancel' then 'cancelled' else 'expired' end,
      expires_at = w.expires_at
  from whole w
  where r.id = w.id
)${parts.keys}, ledger_rows as (
  insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id, replaces_reservation_id, change_id, hold_expires_at, act_id)
  select (select current from epoch), id, version, event_id,
         case action when 'confirm' then 'RESERVED'::ledger_status when 'extend' then 'EXTENDED' when 'release' then 'RELEASED'
           when 'cancel' then 'CANCELLED' else 'EXPIRED' end,
         reservation_id, replaced, change_id, hold_expires_at, act_id
  from updated
), changed as (
  select position, ('[' || string_agg('[' || id || ',' || version || ']', ',') || ']')::json as seats from updated group by position
)
select
  case
    when whole.id is not null then 'done'
    when seen.id is null or seen.status = 'void' then 'missing'${parts.verdict}
    when not seen.allowed then 'refused'
    when gone.seats is not null then 'gone'
    else 'again'
  end as verdict,
  case when seen.status = 'held' and seen.expires_at <= statement_timestamp() then 'expired' else seen.status::text end as status,
  case when seen.id is not null and requested.action <> 'expire' then ('{"reservationId":"' || seen.id || '","eventId":' || seen.event_id
    || ',"seatIds":[' || array_to_string(seen.seat_ids, ',') || '],"pricesMinor":[' || coalesce(array_to_string(seen.prices_minor_large, ','), array_to_string(seen.prices_minor, ','))
    || '],"expiresAtMs":' || coalesce(floor(extract(epoch from coalesce(whole.expires_at, seen.expires_at)) * 1000)::text, 'null') || '}')::json end as facts,
  coalesce(changed.seats, '[]') as seats,
  coalesce(whole.final, false) as final,
  gone.seats as gone,
  1 / (case when (select count(*) from taken) = (select count(*) from updated) then 1 else 0 end) as tripwire
from requested
left join seen on seen.position = requested.position
left join whole on whole.position = requested.position
left join changed on changed.position = requested.position
left join lateral (
  select json_agg(s.id order by s.id) as seats from seats s
  where whole.id is null and seen.action = 'confirm' and s.id = any(seen.seat_ids) and s.reservation_id <> seen.id
    and (s.status = 'reserved' or (s.status = 'held' and s.hold_expires_at > now()))
) gone on true
order by requested.position`;

/** The parts in which the statement with keys and buyers' limits differs. */
interface ClaimParts {
  checks: SQL;
  barred: SQL;
  isWithinLimit: SQL;
  /** Whether no other transaction can decide on the buyer's seats meanwhile, or it does not matter. */
  isClaimed: SQL;
  /** Same for the caller's claim, if the caller's held seats are limited. */
  isCallerClaimed: SQL;
  keys: SQL;
  verdict: SQL;
}

const isUnlimited = sql`(n.buyer_id is null or n.buyer_limit_seats is null)`;

/** The event is closed, and its closing stops this change of a live hold. */
const stopped = sql`
    when not seen.allowed and seen.status = 'held' and seen.expires_at > statement_timestamp()
      and (seen.action = 'confirm' and seen.stops_confirmations or seen.action = 'extend' and seen.stops_extensions) then 'stopped'`;

/** Whether the reservation's caller has a limit of held seats; by the kind of caller, `key` or `net`. */
const isOfLimitedCaller = (row: string) =>
  sql`coalesce(left(${sql.raw(row)}.caller, 3) = any(${sql.placeholder("limitedCallers")}::text[]), false)`;

/** Without the buyer's claim, no seats that a limit might forbid can be kept or taken back. */
export const plainChanges: ClaimParts = {
  checks: sql``,
  barred: sql``,
  isWithinLimit: isUnlimited,
  isClaimed: isUnlimited,
  isCallerClaimed: sql`not (${isOfLimitedCaller("n")})`,
  keys: sql``,
  verdict: sql`${stopped}
    when not seen.allowed and seen.action = 'extend' and seen.status = 'held' and ${isOfLimitedCaller("seen")} then 'capped'
    when not seen.allowed and seen.action in ('confirm', 'extend') and seen.status in ('held', 'expired') and seen.buyer_id is not null
      and seen.buyer_limit_seats is not null then 'capped'`,
};

export const changesWithClaims: ClaimParts = {
  checks: sql`, checks as materialized (
  select g.* from json_to_recordset(${sql.placeholder("keys")}::json) as g("reservationId" uuid, scope text, key text, fingerprint text)
), barred as materialized (
  select g."reservationId" as id, k.fingerprint = g.fingerprint as is_replay
  from checks g cross join lateral ${liveKeyOf("g")} k
)`,
  barred: sql`
    and ${isNotAmong("r.id", "id", "barred")}`,
  isWithinLimit: sql`(n.buyer_id is null or n.buyer_limit_seats is null
        or ${liveSeatsOf("n.buyer_id", "n.event_id", "n.id")} + n.seat_count <= n.buyer_limit_seats)`,
  isClaimed: sql`true`,
  isCallerClaimed: sql`true`,
  keys: sql`, key_rows as (
  insert into idempotency_keys as k (scope, key, fingerprint, reservation_id, expires_at)
  select g.scope, g.key, g.fingerprint, w.id, w.expires_at from checks g join whole w on w.id = g."reservationId"
  ${replaceKey}
)`,
  verdict: sql`
    when exists (select from barred where barred.id = requested.id)
      then (select case when is_replay then 'replayed' else 'key_mismatch' end from barred where barred.id = requested.id limit 1)${stopped}
    when not seen.allowed and seen.action = 'confirm' and seen.status in ('held', 'expired') and seen.on_sale then 'over_limit'`,
};
