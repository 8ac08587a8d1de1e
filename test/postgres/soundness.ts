import { expect } from "bun:test";
import type { Sale } from "./sale.ts";

/** Where seats, reservations and the ledger contradict each other or themselves; empty when all is well. */
function unsound(sale: Sale): Promise<{ what: string; where: string }[]> {
  return sale.rows(`
    with changes as (
      select *, lag((epoch, txid, id)) over of_seat as place_before, lag(version) over of_seat as version_before,
             lag(status) over of_seat as status_before, lag(reservation_id) over of_seat as owner_before
      from seat_events window of_seat as (partition by seat_id order by version)
    ), steps as (
      select *, coalesce(status_before in ('HELD', 'EXTENDED'), false) as was_held,
             coalesce(status_before not in ('HELD', 'EXTENDED', 'RESERVED'), true) as was_free
      from changes
    ), live as (
      select * from reservations where status = 'confirmed' or (status = 'held' and expires_at > now())
    ), parts as (
      select r.*, s.id as seat_id, s.status as seat_status, s.reservation_id as owner, s.hold_expires_at, s.event_id as seat_event_id
      from reservations r cross join unnest(r.seat_ids) as seat_id left join seats s on s.id = seat_id
    )
    select 'versions without a row, or rows without a version' as what, s.id::text as where
    from seats s left join seat_events e on e.seat_id = s.id
    group by s.id having s.version <> count(e.seat_id) or s.version <> coalesce(max(e.version), 0)
    union all
    select 'a gap between versions', seat_id::text from changes where version <> coalesce(version_before, 0) + 1
    union all
    select 'a later version in an earlier transaction', seat_id::text from changes where (epoch, txid, id) < place_before
    union all
    select 'a step that there is not: ' || coalesce(status_before::text, 'free') || ' to ' || status, seat_id::text
    from steps where not case status
      when 'HELD' then (was_free and replaces_reservation_id is null) or (was_held and replaces_reservation_id = owner_before)
      when 'RESERVED' then (was_free and replaces_reservation_id is null)
        or (was_held and coalesce(replaces_reservation_id, reservation_id) = owner_before)
      when 'CANCELLED' then status_before = 'RESERVED' and owner_before = reservation_id and replaces_reservation_id is null
      else was_held and owner_before = reservation_id and replaces_reservation_id is null
    end
    union all
    select 'the seat is not what its last row says', s.id::text
    from seats s join seat_events e on e.seat_id = s.id and e.version = s.version
    where (s.last_epoch, s.last_txid, s.event_id) <> (e.epoch, e.txid, e.event_id)
       or s.status::text <> case e.status when 'RESERVED' then 'reserved' when 'HELD' then 'held' when 'EXTENDED' then 'held' else 'available' end
       or (s.status <> 'available' and s.reservation_id <> e.reservation_id)
    union all
    select 'a row without its reservation', e.seat_id::text
    from seat_events e left join reservations r on r.id = e.reservation_id
    where r.id is null or e.seat_id <> all(r.seat_ids) or r.event_id <> e.event_id
    union all
    select 'a seat whose reservation is another''s, or in another state', s.id::text
    from seats s left join reservations r on r.id = s.reservation_id
    where (s.status = 'reserved' and (r.status = 'confirmed') is not true)
       or (s.status = 'held' and (r.status = 'held' and r.expires_at = s.hold_expires_at) is not true)
       or s.id <> all(coalesce(r.seat_ids, array[s.id]))
    union all
    select 'a live reservation without one of its seats', id::text
    from parts where (status = 'confirmed' or (status = 'held' and expires_at > now()))
      and (owner = id and seat_event_id = event_id
           and seat_status::text = case status when 'confirmed' then 'reserved' else 'held' end) is not true
    union all
    select 'an ended reservation with a seat', id::text
    from parts where status in ('released', 'expired', 'cancelled', 'void') and owner = id
    union all
    select 'a reservation that miscounts', id::text
    from reservations where status <> 'void' and (seat_count <> cardinality(seat_ids) or seat_count <> cardinality(prices_minor)
      or seat_count <> (select count(distinct seat_id) from unnest(seat_ids) as seat_id))
    union all
    select 'two live reservations of a seat', seat_id::text
    from live cross join unnest(seat_ids) as seat_id group by seat_id having count(*) > 1
    union all
    select 'a buyer with more seats than the event allows', l.buyer_id
    from live l join events e on e.id = l.event_id and e.buyer_limit_seats is not null
    group by l.buyer_id, e.id having l.buyer_id is null or sum(l.seat_count) > min(e.buyer_limit_seats)
    order by 1, 2`);
}

/**
 * What must be true of the whole database at every moment, whatever was done to it: versions without gaps
 * and one ledger row each, steps that the states allow, transaction order as version order, one live
 * reservation a seat, reservations and seats that agree, buyers within their limits.
 */
export async function expectSound(sale: Sale): Promise<void> {
  expect(await unsound(sale)).toEqual([]);
}
