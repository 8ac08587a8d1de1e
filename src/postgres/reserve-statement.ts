import { type SQL, sql } from "drizzle-orm";
import { isAmong, isNotAmong } from "./among.ts";
import { liveKeyOf, liveSeatsOf, onSale, replaceKey } from "./claims.ts";
import { seatPrice } from "./prices.ts";

/**
 * The one statement that takes seats; a batch of 1 to 256 seats costs the same commit
 * (docs/decisions/0003-one-statement-under-the-lock.md). It is its own transaction: separate `begin`
 * and `commit` would hold the row locks for two more round trips.
 *
 * Parameters, one value per seat: the seat, the version observed before this transaction began, the
 * reservation that wants it, whether that is a hold, and how many seats it wants. A batch contains a seat at
 * most once. The result is one row: verdicts and versions in the order of the request.
 *
 * - `locked` contains every predicate and checks it again on the newest row under the row lock. `updated`
 *   joins its result by id only. (Predicates in the UPDATE itself gave half-sold baskets.)
 * - A reservation takes all its seats or none; rows that were locked in vain are released at the commit.
 * - SKIP LOCKED: it never waits for a row that another transaction is deciding.
 * - `(last_epoch, last_txid)` makes the order of transactions the order of each seat's versions, which the
 *   ledger's reader relies on.
 * - `others` finds the reason for the seats that were not taken, and only for those. Checking every seat for
 *   it, and returning a row per seat, cost Postgres 28 to 31 instead of 20 to 25 µs per seat.
 * - `tripwire` divides by zero, which undoes everything, if the update misses a row that was to be taken.
 */
export const takeStatement = (wishes: Wishes, { checks, barred, keys, verdict }: ClaimParts) => sql`
with requested as materialized (
  select * from unnest(
    ${sql.placeholder("seatIds")}::bigint[], ${sql.placeholder("versions")}::int[], ${sql.placeholder("reservationIds")}::uuid[]${wishes.arrays}
  ) with ordinality as r(seat_id, version, reservation_id, ${wishes.columns}position)
), epoch as materialized (
  select max(epoch) as current from ledger_epochs
)${checks}, locked as materialized (
  select s.id, r.position, r.reservation_id, s.event_id, s.reservation_id as replaced,
         not e.cancellable as final${wishes.locked}
  from requested r
  join seats s on s.id = r.seat_id
  join events e on e.id = s.event_id
  where ${onSale} and s.version = r.version${wishes.fits}
    and (s.status = 'available' or (s.status = 'held' and s.hold_expires_at <= now()))
    and (s.last_epoch, s.last_txid) <= ((select current from epoch), pg_current_xact_id())${barred}
  order by s.id
  for no key update of s skip locked
), ${wishes.taken}, updated as (
  update seats s
  set status = case when t.expires_at is null then 'reserved'::seat_status else 'held' end, version = s.version + 1,
      reservation_id = t.reservation_id, hold_expires_at = t.expires_at,
      last_epoch = (select current from epoch), last_txid = pg_current_xact_id()
  from taken t
  where s.id = t.id
  returning s.id, s.version, s.event_id, s.price_minor, s.price_minor_large, s.reservation_id, s.hold_expires_at, t.replaced, t.position, t.final${wishes.updated}
), reservation_rows as (
  insert into reservations (id, event_id, status, seat_count, seat_ids, prices_minor, prices_minor_large, expires_at${wishes.rowColumns})
  ${wishes.rows}
)${keys}, ledger_rows as (
  insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id, replaces_reservation_id)
  select (select current from epoch), id, version, event_id,
         case when hold_expires_at is null then 'RESERVED'::ledger_status else 'HELD' end, reservation_id, replaced
  from updated
), others as (
  select r.position,
    case${verdict}
      when e.id is null then 'missing'
      when not (${onSale}) then 'closed'${wishes.tooMany}
      when s.status = 'reserved' then 'reserved'
      when s.status = 'held' and s.hold_expires_at > now() then 'held'
      when s.version <> r.version then 'moved'${wishes.free}
      else 'contended'
    end as verdict, s.version, coalesce(not e.cancellable, false) as final${wishes.otherHold}
  from requested r
  left join seats s on s.id = r.seat_id
  left join events e on e.id = s.event_id
  where not exists (select from taken where taken.position = r.position)
), decided as (
  select position, 'won' as verdict, version, final${wishes.wonHold} from updated
  union all
  select * from others
)
select string_agg(verdict, ',' order by position) as verdicts,
       string_agg(coalesce(version::text, ''), ',' order by position) as versions,
       string_agg(case when final then '1' else '0' end, '' order by position) as finals,
       ${wishes.holds} as holds,
       1 / (case when (select count(*) from taken) = (select count(*) from updated) then 1 else 0 end) as tripwire
from decided`;

/** The parts in which the statement for holds and baskets differs from the one for single reserved seats. */
interface Wishes {
  arrays: SQL;
  columns: SQL;
  locked: SQL;
  fits: SQL;
  taken: SQL;
  updated: SQL;
  rowColumns: SQL;
  rows: SQL;
  tooMany: SQL;
  free: SQL;
  wonHold: SQL;
  otherHold: SQL;
  holds: SQL;
}

const holdEnd = sql`case when r.is_hold then now() + e.hold_ttl_seconds * interval '1 second' end`;

/** The facts of a hold's seats that its response needs. */
const wonHold = sql`, case when hold_expires_at is null then 'null' else
    '[' || event_id || ',' || ${seatPrice("updated")} || ',' || floor(extract(epoch from hold_expires_at) * 1000) || ']' end as hold`;
const otherHold = sql`, case when r.is_hold and s.id is not null then
    '[' || s.event_id || ',' || ${seatPrice("s")} || ',null]' else 'null' end as hold`;
const holds = sql`('[' || string_agg(hold, ',' order by position) || ']')::json`;

/** Has no grouping: for single seats it cost a fifth of the reserve route's rate. */
export const singles: Wishes = {
  arrays: sql``,
  columns: sql``,
  locked: sql`, null::timestamptz as expires_at`,
  fits: sql``,
  taken: sql`taken as not materialized (
  select * from locked
)`,
  updated: sql``,
  rowColumns: sql``,
  rows: sql`select reservation_id, event_id, 'confirmed', 1, array[id], case when price_minor is null then '{}' else array[price_minor] end,
         case when price_minor is null then array[price_minor_large] end, null from updated`,
  tooMany: sql``,
  free: sql``,
  wonHold: sql``,
  otherHold: sql``,
  holds: sql`null`,
};

/** As `singles`, for batches in which some of the seats are held for a while. */
export const singleHolds: Wishes = {
  ...singles,
  arrays: sql`,
    ${sql.placeholder("holds")}::boolean[], ${sql.placeholder("callers")}::text[]`,
  columns: sql`is_hold, caller, `,
  locked: sql`, r.caller, ${holdEnd} as expires_at`,
  updated: sql`, t.caller`,
  rowColumns: sql`, caller`,
  rows: sql`select reservation_id, event_id, case when hold_expires_at is null then 'confirmed'::reservation_status else 'held' end, 1, array[id],
         case when price_minor is null then '{}' else array[price_minor] end,
         case when price_minor is null then array[price_minor_large] end, hold_expires_at, caller from updated`,
  wonHold,
  otherHold,
  holds,
};

export const several: Wishes = {
  arrays: sql`,
    ${sql.placeholder("holds")}::boolean[], ${sql.placeholder("seatCounts")}::int[], ${sql.placeholder("callers")}::text[],
    ${sql.placeholder("buyers")}::text[]`,
  columns: sql`is_hold, seat_count, caller, buyer_id, `,
  locked: sql`, r.is_hold, r.seat_count, r.caller, r.buyer_id, ${holdEnd} as expires_at`,
  fits: sql` and r.seat_count <= e.reservation_limit_seats`,
  taken: sql`whole as materialized (
  select reservation_id from locked group by reservation_id
  having count(*) = min(seat_count) and min(event_id) = max(event_id)
), taken as materialized (
  select * from locked where ${isAmong("reservation_id", "reservation_id", "whole")}
)`,
  updated: sql`, t.caller, t.buyer_id`,
  rowColumns: sql`, caller, buyer_id`,
  rows: sql`select reservation_id, min(event_id), case when min(hold_expires_at) is null then 'confirmed'::reservation_status else 'held' end,
         count(*), array_agg(id order by position),
         case when bool_or(price_minor is null) then '{}' else array_agg(price_minor order by position) end,
         case when bool_or(price_minor is null) then array_agg(${seatPrice("updated")} order by position) end, min(hold_expires_at), min(caller), min(buyer_id)
  from updated group by reservation_id`,
  tooMany: sql`
      when r.seat_count > e.reservation_limit_seats then 'too_many'`,
  free: sql`
      when exists (select from locked where locked.position = r.position) then 'free'`,
  wonHold,
  otherHold,
  holds,
};

/** The parts in which the statement for requests with a key or a buyer's limit differs. */
interface ClaimParts {
  checks: SQL;
  barred: SQL;
  keys: SQL;
  verdict: SQL;
}

/** Refuses seats of events that limit their buyers, because such a request has no buyer. */
export const withoutClaims: ClaimParts = {
  checks: sql``,
  barred: sql`
    and e.buyer_limit_seats is null`,
  keys: sql``,
  verdict: sql`
      when e.buyer_limit_seats is not null then 'buyer_needed'`,
};

/**
 * Bars reservations whose key was already answered or whose buyer would have too many seats. What it reads
 * cannot change before the commit: an earlier statement of the transaction locked the claims, so this
 * snapshot is newer than the commit of their last holder. (In a single statement, keys and limits were seen
 * to leak.)
 */
export const withClaims: ClaimParts = {
  checks: sql`, checks as materialized (
  select g.* from json_to_recordset(${sql.placeholder("checks")}::json)
    as g("reservationId" uuid, "seatId" bigint, "seatCount" int, "buyerId" text, scope text, key text, fingerprint text)
), barred as materialized (
  select g."reservationId" as reservation_id,
    case when k.fingerprint = g.fingerprint then 'replayed' when k.key is not null then 'key_mismatch'
      when g."buyerId" is null then 'buyer_needed' else 'over_limit' end as reason
  from checks g
  left join lateral ${liveKeyOf("g")} k on true
  left join lateral (
    select s.event_id, e.buyer_limit_seats from seats s join events e on e.id = s.event_id where s.id = g."seatId" limit 1
  ) w on true
  where k.key is not null
     or (w.buyer_limit_seats is not null and (g."buyerId" is null
         or ${liveSeatsOf('g."buyerId"', "w.event_id", 'g."reservationId"')} + g."seatCount" > w.buyer_limit_seats))
)`,
  barred: sql`
    and ${isNotAmong("r.reservation_id", "reservation_id", "barred")}`,
  keys: sql`, key_rows as (
  insert into idempotency_keys as k (scope, key, fingerprint, reservation_id, expires_at)
  select g.scope, g.key, g.fingerprint, g."reservationId", t.expires_at
  from checks g join (select distinct reservation_id, expires_at from taken) t on t.reservation_id = g."reservationId"
  where g.key is not null
  ${replaceKey}
)`,
  verdict: sql`
      when exists (select from barred where barred.reservation_id = r.reservation_id)
        then (select reason from barred where barred.reservation_id = r.reservation_id limit 1)`,
};

/**
 * Same as `withClaims`, for callers whose seats in live holds are limited. These seats are counted once per
 * caller. An order that would fit alone, but not after its caller's earlier orders in the batch, gets its own
 * reason, because the earlier ones may fail.
 */
export const capped: ClaimParts = {
  ...withClaims,
  checks: sql`${withClaims.checks}, caps as materialized (
  select c.* from json_to_recordset(${sql.placeholder("caps")}::json)
    as c("reservationId" uuid, caller text, "limitSeats" int, seats int, earlier int)
), holding as materialized (
  select d.caller, (select coalesce(sum(r.seat_count), 0) from reservations r
    where r.caller = d.caller and r.status = 'held' and r.expires_at > now()) as seats
  from (select distinct caller from caps) d
), over_cap as materialized (
  select c."reservationId" as reservation_id,
         case when h.seats + c.seats > c."limitSeats" then 'caller_over_limit' else 'caller_crowded' end as reason
  from caps c join holding h on h.caller = c.caller
  where h.seats + c.earlier + c.seats > c."limitSeats"
)`,
  barred: sql`${withClaims.barred}
    and ${isNotAmong("r.reservation_id", "reservation_id", "over_cap")}`,
  verdict: sql`${withClaims.verdict}
      when exists (select from over_cap where over_cap.reservation_id = r.reservation_id)
        then (select reason from over_cap where over_cap.reservation_id = r.reservation_id limit 1)`,
};
