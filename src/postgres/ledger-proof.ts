import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { broken, type Found, find } from "./proof.ts";

/** The state that a row leaves its seat in. */
const stateAfter = (status: string) => sql`case ${sql.raw(status)} when 'RESERVED' then 'reserved'
  when 'HELD' then 'held' when 'EXTENDED' then 'held' else 'available' end`;

/** Every row beside the one of the version below it. */
const steps = sql`(
  select *, s.status_before in ('HELD', 'EXTENDED') as was_held,
         coalesce(s.status_before not in ('HELD', 'EXTENDED', 'RESERVED'), true) as was_free
  from (
    select seat_id, version, status, reservation_id, replaces_reservation_id, epoch, txid, id,
           lag(version) over of_seat as version_before, lag(status) over of_seat as status_before,
           lag(reservation_id) over of_seat as owner_before, lag(epoch) over of_seat as epoch_before,
           lag(txid) over of_seat as txid_before, lag(id) over of_seat as id_before
    from seat_events window of_seat as (partition by seat_id order by version)
  ) s
) as step`;

/** A row's step is one that some statement of ours writes: from the state that the row before has left. */
const isStep = sql`case status
  when 'HELD' then case when was_free then replaces_reservation_id is null
    else was_held and replaces_reservation_id = owner_before and reservation_id <> owner_before end
  when 'RESERVED' then case when was_free then replaces_reservation_id is null
    else was_held and coalesce(replaces_reservation_id, reservation_id) = owner_before
      and replaces_reservation_id is distinct from reservation_id end
  when 'CANCELLED' then status_before = 'RESERVED' and owner_before = reservation_id and replaces_reservation_id is null
  else was_held and owner_before = reservation_id and replaces_reservation_id is null
end`;

const isOutOfOrder = sql`(epoch, txid, id) < (epoch_before, txid_before, id_before)`;

/** Transactions are compared where the newest epoch is this cluster's: a dump restored elsewhere enters its own at the first start. */
const isOfFuture = sql`epoch > (select max(epoch) from ledger_epochs)
  or (epoch = (select max(epoch) from ledger_epochs) and txid >= pg_snapshot_xmax(pg_current_snapshot())
      and (select system_identifier from ledger_epochs order by epoch desc limit 1) = (select system_identifier::text from pg_control_system()))`;

/**
 * The ledger by itself: versions from 1 without a gap, each step one that follows from the state before it, and
 * per seat the order of publishing is that of the versions. (One row a version is the table's primary key.)
 */
export function proveSteps(session: NodePgDatabase): Promise<Found> {
  return find(
    session,
    broken(steps, { seatId: sql`seat_id`, version: sql`version` }, [
      {
        what: "a version has no ledger row",
        isBroken: sql`version <> coalesce(version_before, 0) + 1`,
        version: sql`coalesce(version_before, 0) + 1`,
        detail: sql`'the next row is of version ' || version`,
      },
      // Which of the two was moved is not known here: both are named.
      {
        what: "a ledger row would be published before the one of the version below it",
        isBroken: isOutOfOrder,
      },
      {
        what: "a ledger row would be published after the one of the version above it",
        isBroken: isOutOfOrder,
        version: sql`version_before`,
      },
      {
        what: "a ledger row does not follow from the one before it",
        isBroken: sql`version = coalesce(version_before, 0) + 1 and (${isStep}) is not true`,
        detail: sql`format('%s by %s%s after %s', status, reservation_id, ' in place of ' || replaces_reservation_id,
          coalesce(status_before || ' by ' || owner_before, 'nothing'))`,
      },
    ]),
    broken(sql`seat_events`, { seatId: sql`seat_id`, version: sql`version` }, [
      { what: "a ledger row of a transaction that there was not yet", isBroken: isOfFuture },
    ]),
  );
}

const lastRows = sql`(
  select s.id, s.version, s.status, s.reservation_id, s.last_epoch, s.last_txid, s.event_id,
         l.seat_id as row_seat_id, l.version as row_version, l.status as row_status, l.reservation_id as row_reservation_id,
         l.epoch as row_epoch, l.txid as row_txid, ${stateAfter("l.status")} as row_state
  from seats s
  full join (
    select distinct on (seat_id) * from seat_events order by seat_id desc, version desc
  ) l on l.seat_id = s.id
) as last`;

/** Each seat is what its ledger, replayed from nothing, has made of it. */
export function proveSeats(session: NodePgDatabase): Promise<Found> {
  const isSame = sql`id is not null and version = coalesce(row_version, 0)`;
  return find(
    session,
    broken(
      lastRows,
      { seatId: sql`coalesce(id, row_seat_id)`, version: sql`coalesce(version, row_version)` },
      [
        { what: "ledger rows of a seat that there is not", isBroken: sql`id is null` },
        {
          what: "the ledger ends before the seat does",
          isBroken: sql`version > coalesce(row_version, 0)`,
          version: sql`coalesce(row_version, 0) + 1`,
          detail: sql`'the seat is at version ' || version || ', and this version has no row'`,
        },
        {
          what: "the seat is behind its ledger",
          isBroken: sql`version < row_version`,
          detail: sql`'the ledger ends at version ' || row_version`,
        },
        {
          what: "the seat's status is not that of its last ledger row",
          isBroken: sql`${isSame} and status::text <> row_state`,
          detail: sql`format('%s after %s', status, coalesce(row_status::text, 'nothing'))`,
        },
        {
          what: "the seat's owner is not that of its last ledger row",
          isBroken: sql`${isSame} and reservation_id is distinct from case when row_state <> 'available' then row_reservation_id end`,
          detail: sql`format('%s instead of %s', coalesce(reservation_id::text, 'nobody'), coalesce(row_reservation_id::text, 'nobody'))`,
        },
        {
          what: "the seat was changed last by another transaction than its last ledger row",
          isBroken: sql`${isSame} and (last_epoch, last_txid) <> (coalesce(row_epoch, 0), coalesce(row_txid, '0'))`,
        },
      ],
    ),
    broken(
      sql`seat_events e join seats s on s.id = e.seat_id`,
      { seatId: sql`e.seat_id`, version: sql`e.version` },
      [
        {
          what: "a ledger row names another event than its seat",
          isBroken: sql`e.event_id <> s.event_id`,
          detail: sql`format('event %s, the seat is of event %s', e.event_id, s.event_id)`,
        },
      ],
    ),
  );
}
