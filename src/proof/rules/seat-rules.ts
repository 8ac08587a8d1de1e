import { type SQL, sql } from "drizzle-orm";
import type { RowRule, RowRules } from "./rule.ts";

/**
 * Each ledger row beside the one of the version below it on the same seat.
 * @param before the version that precedes the first of a seat's `rows`
 */
export const stepsOf = (rows: SQL, before: SQL = sql`0`): SQL => sql`(
  select *, s.status_before in ('HELD', 'EXTENDED') as was_held,
         coalesce(s.status_before not in ('HELD', 'EXTENDED', 'RESERVED'), true) as was_free
  from (
    select seat_id, version, status, reservation_id, replaces_reservation_id, epoch, txid, id,
           lag(version, 1, ${before}) over of_seat as version_before, lag(status) over of_seat as status_before,
           lag(reservation_id) over of_seat as owner_before, lag(epoch) over of_seat as epoch_before,
           lag(txid) over of_seat as txid_before, lag(id) over of_seat as id_before
    from ${rows} window of_seat as (partition by seat_id order by version)
  ) s
) as step`;

/** Whether one of our statements writes this row after the one before it. */
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
const inOrder = "Per seat, the order of publishing (epoch, txid, id) is the order of the versions.";

/** The primary key of the ledger already allows only one row per version. */
export const stepRules: readonly RowRule[] = [
  {
    finding: "a version has no ledger row",
    statement: "The ledger rows of a seat have the versions 1, 2, 3 and so on, without a gap.",
    isBroken: sql`version <> version_before + 1`,
    version: sql`version_before + 1`,
    detail: sql`'the next row is of version ' || version`,
    isAudited: true,
  },
  // Nothing here says which of the two rows was moved, so both are named.
  {
    finding: "a ledger row would be published before the one of the version below it",
    statement: inOrder,
    isBroken: isOutOfOrder,
  },
  {
    finding: "a ledger row would be published after the one of the version above it",
    statement: inOrder,
    isBroken: isOutOfOrder,
    version: sql`version_before`,
  },
  {
    finding: "a ledger row does not follow from the one before it",
    statement:
      "Each ledger row is a step that the state left by the previous row allows: nobody takes a seat that is sold or held by another, and only the owner extends, releases, confirms or cancels.",
    isBroken: sql`version = version_before + 1 and (${isStep}) is not true`,
    detail: sql`format('%s by %s%s after %s', status, reservation_id, ' in place of ' || replaces_reservation_id,
      coalesce(status_before || ' by ' || owner_before, 'nothing'))`,
  },
];

/** Transactions are compared only if the newest epoch is this cluster's: a dump restored elsewhere enters its own epoch at the first start. */
const isOfFuture = sql`epoch > (select max(epoch) from ledger_epochs)
  or (epoch = (select max(epoch) from ledger_epochs) and txid >= pg_snapshot_xmax(pg_current_snapshot())
      and (select system_identifier from ledger_epochs order by epoch desc limit 1) = (select system_identifier::text from pg_control_system()))`;

/** The ledger by itself. */
export const ledgerRules: readonly RowRules[] = [
  {
    rows: stepsOf(sql`seat_events`),
    seatId: sql`seat_id`,
    version: sql`version`,
    rules: stepRules,
  },
  {
    rows: sql`seat_events`,
    seatId: sql`seat_id`,
    version: sql`version`,
    rules: [
      {
        finding: "a ledger row of a transaction that has not begun yet",
        statement: "A ledger row was written by a transaction that this database has already begun.",
        isBroken: isOfFuture,
      },
    ],
  },
];

/** A seat (`s`) and its newest ledger row (`l`), as `newestRowRules` take them. */
export const seatAndNewestRow = sql`s.id, s.version, s.status, s.reservation_id, s.last_epoch, s.last_txid,
         l.seat_id as row_seat_id, l.version as row_version, l.status as row_status, l.reservation_id as row_reservation_id,
         l.epoch as row_epoch, l.txid as row_txid,
         case l.status when 'RESERVED' then 'reserved' when 'HELD' then 'held' when 'EXTENDED' then 'held' else 'available' end as row_state`;

const isSame = sql`id is not null and version = coalesce(row_version, 0)`;

export const newestRowRules: readonly RowRule[] = [
  {
    finding: "ledger rows of a seat that does not exist",
    statement: "Every ledger row belongs to a seat.",
    isBroken: sql`id is null`,
  },
  {
    finding: "the ledger ends before the seat does",
    statement: "A seat's version is that of its newest ledger row: no change of a seat lacks its row.",
    isBroken: sql`version > coalesce(row_version, 0)`,
    version: sql`coalesce(row_version, 0) + 1`,
    detail: sql`'the seat is at version ' || version || ', and this version has no row'`,
    isAudited: true,
  },
  {
    finding: "the seat is behind its ledger",
    statement: "A seat's version is that of its newest ledger row: no row lacks its change of the seat.",
    isBroken: sql`version < row_version`,
    detail: sql`'the ledger ends at version ' || row_version`,
    isAudited: true,
  },
  {
    finding: "the seat's status is not that of its last ledger row",
    statement: "A seat is available, held or reserved as its newest ledger row left it.",
    isBroken: sql`${isSame} and status::text <> row_state`,
    detail: sql`format('%s after %s', status, coalesce(row_status::text, 'nothing'))`,
    isAudited: true,
  },
  {
    finding: "the seat's owner is not that of its last ledger row",
    statement:
      "A held or reserved seat belongs to the reservation that its newest ledger row names, an available one to nobody.",
    isBroken: sql`${isSame} and reservation_id is distinct from case when row_state <> 'available' then row_reservation_id end`,
    detail: sql`format('%s instead of %s', coalesce(reservation_id::text, 'nobody'), coalesce(row_reservation_id::text, 'nobody'))`,
    isAudited: true,
  },
  {
    finding: "the seat was changed last by another transaction than its last ledger row",
    statement: "One transaction changes a seat and writes its ledger row.",
    isBroken: sql`${isSame} and (last_epoch, last_txid) <> (coalesce(row_epoch, 0), coalesce(row_txid, '0'))`,
    detail: sql`format('%s of epoch %s instead of %s of epoch %s', last_txid, last_epoch, coalesce(row_txid, '0'), coalesce(row_epoch, 0))`,
    isAudited: true,
  },
];

/** Each seat is what its ledger, replayed from nothing, has made of it. */
export const seatRules: readonly RowRules[] = [
  {
    rows: sql`(
  select ${seatAndNewestRow}
  from seats s
  full join (
    select distinct on (seat_id) * from seat_events order by seat_id desc, version desc
  ) l on l.seat_id = s.id
) as last`,
    seatId: sql`coalesce(id, row_seat_id)`,
    version: sql`coalesce(version, row_version)`,
    rules: newestRowRules,
  },
  {
    rows: sql`seat_events e join seats s on s.id = e.seat_id`,
    seatId: sql`e.seat_id`,
    version: sql`e.version`,
    rules: [
      {
        finding: "a ledger row names another event than its seat",
        statement: "A ledger row names the event of its seat.",
        isBroken: sql`e.event_id <> s.event_id`,
        detail: sql`format('event %s, the seat is of event %s', e.event_id, s.event_id)`,
      },
    ],
  },
];
