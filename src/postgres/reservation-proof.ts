import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { broken, type Found, find } from "./proof.ts";

/**
 * What the ledger says of each reservation: the last row that it has on each of its seats, and what follows from
 * all of them. A hold that is over and whose seat was taken over has no row that says so but the other's; once
 * that is true of all its seats, whether it was swept already the ledger does not say.
 */
const byLedger = sql`(
  select reservation_id, array_agg(seat_id) as ledger_seat_ids, min(event_id) as ledger_event_id, min(seat_id) as ledger_seat_id,
         bool_or(ended = 'taken over') as is_taken_over,
         case
           when bool_and(ended = 'confirmed') then array['confirmed']
           when bool_and(ended = 'released') then array['released']
           when bool_and(ended = 'cancelled') then array['cancelled']
           when bool_and(ended = 'taken over') then array['held', 'expired']
           when bool_and(ended in ('held', 'taken over')) then array['held']
           when bool_and(ended in ('expired', 'taken over')) then array['expired']
           else array[]::text[]
         end as possible, string_agg(distinct ended, ' and ') as ends
  from (
    select distinct on (reservation_id, seat_id) reservation_id, seat_id, event_id,
           case status when 'RESERVED' then 'confirmed' when 'RELEASED' then 'released' when 'CANCELLED' then 'cancelled'
             when 'EXPIRED' then 'expired' else case when replaced_by_next then 'taken over' else 'held' end end as ended
    from (
      select *, coalesce(lead(replaces_reservation_id) over (partition by seat_id order by version) = reservation_id, false)
               as replaced_by_next
      from seat_events
    ) e
    order by reservation_id, seat_id, version desc
  ) own
  group by reservation_id
)`;

const compared = sql`(
  select r.*, l.*, l.reservation_id is not null as has_rows, coalesce(r.id, l.reservation_id) as subject
  from reservations r full join ${byLedger} l on l.reservation_id = r.id
) as compared`;

/**
 * Reservations agree with the ledger as far as that determines them: status, seats, event. Buyers and prices
 * stand in the reservation alone.
 */
export function proveReservations(session: NodePgDatabase): Promise<Found> {
  const isReal = sql`id is not null and status <> 'void'`;
  return find(
    session,
    broken(compared, { reservationId: sql`subject`, seatId: sql`ledger_seat_id` }, [
      { what: "ledger rows of a reservation that there is not", isBroken: sql`id is null` },
      {
        what: "ledger rows of a reservation that was made impossible",
        isBroken: sql`status = 'void' and has_rows`,
      },
      {
        what: "a reservation without a ledger row",
        isBroken: sql`${isReal} and not has_rows`,
        detail: sql`status || ' seats ' || array_to_string(seat_ids, ', ')`,
      },
      {
        what: "the reservation's status is not what the ledger says",
        isBroken: sql`${isReal} and has_rows and status::text <> all(possible)`,
        detail: sql`format('%s, by the ledger %s', status, ends)`,
      },
      {
        what: "the reservation's seats are not those of its ledger rows",
        isBroken: sql`${isReal} and has_rows and not (cardinality(seat_ids) = cardinality(ledger_seat_ids) and seat_ids @> ledger_seat_ids)`,
        detail: sql`format('%s, by the ledger %s', array_to_string(seat_ids, ', '), array_to_string(ledger_seat_ids, ', '))`,
      },
      {
        what: "the reservation miscounts its seats or prices",
        isBroken: sql`seat_count <> cardinality(seat_ids) or seat_count <> cardinality(coalesce(prices_minor_large, prices_minor::bigint[]))`,
      },
      {
        what: "the reservation is of another event than its ledger rows",
        isBroken: sql`${isReal} and has_rows and event_id is distinct from ledger_event_id`,
      },
      {
        what: "a hold that lives was taken over",
        isBroken: sql`status = 'held' and is_taken_over and expires_at > now()`,
      },
      { what: "a hold without an end", isBroken: sql`status = 'held' and expires_at is null` },
    ]),
    broken(
      sql`seats s join reservations r on r.id = s.reservation_id and s.status = 'held'`,
      { seatId: sql`s.id`, version: sql`s.version`, reservationId: sql`r.id` },
      [
        {
          what: "the seat's hold ends at another time than its reservation",
          isBroken: sql`s.hold_expires_at is distinct from r.expires_at`,
        },
      ],
    ),
  );
}

/** What would be foreign keys, were those not a wait for every sale: everything that a row names is there. */
export function proveReferences(session: NodePgDatabase): Promise<Found> {
  return find(
    session,
    broken(
      sql`seats s left join events e on e.id = s.event_id left join sections c on c.id = s.section_id`,
      { seatId: sql`s.id` },
      [
        {
          what: "the seat's event is not there",
          isBroken: sql`e.id is null`,
          detail: sql`'event ' || s.event_id`,
        },
        {
          what: "the seat's section is not there",
          isBroken: sql`s.section_id is not null and c.id is null`,
          detail: sql`'section ' || s.section_id`,
        },
        {
          what: "the seat is not in its section",
          isBroken: sql`c.event_id <> s.event_id or s.id < c.first_seat_id or s.id >= c.first_seat_id + c.seat_count`,
          detail: sql`'section ' || s.section_id`,
        },
      ],
    ),
    broken(
      sql`sections c left join events e on e.id = c.event_id
        left join (select section_id, count(*) as seats from seats where section_id is not null group by section_id) s on s.section_id = c.id`,
      {},
      [
        {
          what: "the section's event is not there",
          isBroken: sql`e.id is null`,
          detail: sql`'section ' || c.id`,
        },
        {
          what: "the section has not all its seats",
          isBroken: sql`coalesce(s.seats, 0) <> c.seat_count`,
          detail: sql`format('section %s has %s of %s', c.id, coalesce(s.seats, 0), c.seat_count)`,
        },
      ],
    ),
    broken(sql`reservations r left join events e on e.id = r.event_id`, { reservationId: sql`r.id` }, [
      {
        what: "the reservation's event is not there",
        isBroken: sql`r.status <> 'void' and e.id is null`,
        detail: sql`'event ' || coalesce(r.event_id::text, 'unnamed')`,
      },
    ]),
    broken(
      sql`reservations r cross join lateral unnest(r.seat_ids) as own(seat_id) left join seats s on s.id = own.seat_id`,
      { reservationId: sql`r.id`, seatId: sql`own.seat_id` },
      [
        {
          what: "the reservation's seat is not there, or of another event",
          isBroken: sql`(s.event_id = r.event_id) is not true`,
        },
      ],
    ),
    broken(
      sql`idempotency_keys k left join reservations r on r.id = k.reservation_id`,
      { reservationId: sql`k.reservation_id` },
      [
        {
          what: "the reservation of an idempotency key is not there",
          isBroken: sql`k.reservation_id is not null and r.id is null`,
        },
      ],
    ),
    broken(
      sql`seat_events l left join admin_log a on a.id = l.act_id`,
      { seatId: sql`l.seat_id`, version: sql`l.version`, reservationId: sql`l.reservation_id` },
      [
        {
          what: "the act that a ledger row names is not there, or did something else",
          isBroken: sql`l.act_id is not null and (a.kind = 'holds.released' and l.status = 'RELEASED') is not true`,
          detail: sql`format('act %s', l.act_id)`,
        },
      ],
    ),
    broken(sql`denials d left join admin_log a on a.id = d.act_id`, {}, [
      {
        what: "the act that denied a caller is not there, or did something else",
        isBroken: sql`(a.kind = 'caller.denied') is not true`,
        detail: sql`format('act %s', d.act_id)`,
      },
    ]),
    broken(sql`admin_log`, {}, [
      {
        what: "an act without the reason that it needs",
        isBroken: sql`kind in ('holds.released', 'caller.denied') and reason is null`,
        detail: sql`format('act %s', id)`,
      },
    ]),
    broken(sql`reservations`, { reservationId: sql`id` }, [
      {
        what: "a reservation names a caller that cannot be one",
        isBroken: sql`caller !~ '^(key:[0-9a-f-]{36}|net:[A-Za-z0-9_-]{22})$'`,
        detail: sql`caller`,
      },
    ]),
  );
}
