import { sql } from "drizzle-orm";
import type { RowRule, RowRules } from "./rule.ts";

/**
 * The ledger's account of each reservation: its last row on each of its seats, and the status that follows from all of
 * them. If the seat of an overdue hold was taken over, only the other reservation's row says so. Once that is true of all
 * seats of a hold, the ledger does not say whether it was already swept.
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

const isReal = sql`id is not null and status <> 'void'`;

/**
 * Reservations agree with the ledger as far as it determines them: status, seats, event. Only the reservation itself
 * holds buyers and prices.
 */
export const reservationRules: readonly RowRules[] = [
  {
    rows: sql`(
  select r.*, l.*, l.reservation_id is not null as has_rows, coalesce(r.id, l.reservation_id) as subject
  from reservations r full join ${byLedger} l on l.reservation_id = r.id
) as compared`,
    reservationId: sql`subject`,
    seatId: sql`ledger_seat_id`,
    rules: [
      {
        finding: "ledger rows of a reservation that does not exist",
        statement: "Every ledger row names a reservation that exists.",
        isBroken: sql`id is null`,
      },
      {
        finding: "ledger rows of a reservation that is void",
        statement: "A void reservation, whose id may never be committed, has no ledger row.",
        isBroken: sql`status = 'void' and has_rows`,
      },
      {
        finding: "a reservation without a ledger row",
        statement: "A reservation that is not void has ledger rows.",
        isBroken: sql`${isReal} and not has_rows`,
        detail: sql`status || ' seats ' || array_to_string(seat_ids, ', ')`,
      },
      {
        finding: "the reservation's status is not what the ledger says",
        statement:
          "A reservation's status is the one that its last ledger row on each of its seats leads to.",
        isBroken: sql`${isReal} and has_rows and status::text <> all(possible)`,
        detail: sql`format('%s, by the ledger %s', status, ends)`,
      },
      {
        finding: "the reservation's seats are not those of its ledger rows",
        statement: "A reservation lists exactly the seats on which it has ledger rows.",
        isBroken: sql`${isReal} and has_rows and not (cardinality(seat_ids) = cardinality(ledger_seat_ids) and seat_ids @> ledger_seat_ids)`,
        detail: sql`format('%s, by the ledger %s', array_to_string(seat_ids, ', '), array_to_string(ledger_seat_ids, ', '))`,
      },
      {
        finding: "the reservation miscounts its seats or prices",
        statement: "A reservation's seat count is the length of its lists of seats and prices.",
        isBroken: sql`seat_count <> cardinality(seat_ids) or seat_count <> cardinality(coalesce(prices_minor_large, prices_minor::bigint[]))`,
      },
      {
        finding: "the reservation is of another event than its ledger rows",
        statement: "A reservation is of the event that its ledger rows name.",
        isBroken: sql`${isReal} and has_rows and event_id is distinct from ledger_event_id`,
      },
      {
        finding: "a live hold was taken over",
        statement: "Nobody takes over a seat of a hold before the hold's end.",
        isBroken: sql`status = 'held' and is_taken_over and expires_at > now()`,
      },
      {
        finding: "a hold without an end",
        statement: "Every hold has an end.",
        isBroken: sql`status = 'held' and expires_at is null`,
      },
    ],
  },
  {
    rows: sql`seats s join reservations r on r.id = s.reservation_id and s.status = 'held'`,
    seatId: sql`s.id`,
    version: sql`s.version`,
    reservationId: sql`r.id`,
    rules: [
      {
        finding: "the seat's hold ends at another time than its reservation",
        statement: "A held seat is held until the end of its reservation.",
        isBroken: sql`s.hold_expires_at is distinct from r.expires_at`,
      },
    ],
  },
];

/**
 * For the auditor, which looks at single seats: `verify` proves more, because it compares each reservation with the ledger.
 * Its rows are those of `seatAndNewestRow` beside the status of the seat's reservation.
 */
export const ownerRule: RowRule = {
  finding: "the seat's reservation has another status",
  statement: "The reservation of a held seat is held, that of a reserved seat is confirmed.",
  isBroken: sql`status <> 'available' and owner_status is distinct from case status when 'held' then 'held' else 'confirmed' end`,
  detail: sql`format('the seat is %s, its reservation is %s', status, coalesce(owner_status, 'missing'))`,
  isAudited: true,
};
