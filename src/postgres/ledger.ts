import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { ADVISORY_LOCKS } from "./epoch.ts";

/** How far a sink has the ledger: the last row it acknowledged. */
export interface Cursor {
  epoch: number;
  txid: string;
  id: string;
}

export interface LedgerRow extends Cursor {
  seatId: string;
  version: number;
  eventId: string;
  status: string;
  reservationId: string;
  replacesReservationId: string | null;
  timestampMs: number;
}

const START: Cursor = { epoch: 0, txid: "0", id: "0" };

/** Counting further tells an operator nothing more and costs the database. */
const BACKLOG_LIMIT_ROWS = 100_000;

/** The right to publish, or to sweep: held by one session of all processes for as long as that session lives. */
export async function tryToLead(
  session: NodePgDatabase,
  lock: number = ADVISORY_LOCKS.publisher,
): Promise<boolean> {
  const { rows } = await session.execute<{ leads: boolean }>(
    sql`select not pg_is_in_recovery() and pg_try_advisory_lock(${lock}) as leads`,
  );
  return rows[0]?.leads ?? false;
}

/** The sink's cursor; a sink that is new here begins at the ledger's beginning. */
export async function readCursor(session: NodePgDatabase, sink: string): Promise<Cursor> {
  await session.execute(sql`
    insert into ledger_cursors (sink, epoch, txid, id) values (${sink}, ${START.epoch}, ${START.txid}::xid8, ${START.id})
    on conflict do nothing`);
  const { rows } = await session.execute<Cursor & Record<string, unknown>>(
    sql`select epoch, txid::text, id::text from ledger_cursors where sink = ${sink}`,
  );
  return rows[0] ?? START;
}

/** The cursor that was moved last, of whatever sink. */
export async function readNewestCursor(session: NodePgDatabase): Promise<Cursor> {
  const { rows } = await session.execute<Cursor & Record<string, unknown>>(
    sql`select epoch, txid::text, id::text from ledger_cursors order by updated_at desc limit 1`,
  );
  return rows[0] ?? START;
}

/**
 * Moves the cursor from where this session left it.
 * @returns false when somebody else has moved it: then this session publishes no more.
 */
export async function moveCursor(
  session: NodePgDatabase,
  sink: string,
  from: Cursor,
  to: Cursor,
): Promise<boolean> {
  const moved = await session.execute(sql`
    update ledger_cursors set epoch = ${to.epoch}, txid = ${to.txid}::xid8, id = ${to.id}, updated_at = now()
    where sink = ${sink} and (epoch, txid, id) = (${from.epoch}, ${from.txid}::xid8, ${from.id}::bigint)`);
  return moved.rowCount === 1;
}

/**
 * Committed rows after the cursor, in an order that later commits cannot change: rows of the current
 * epoch wait until no transaction that began before theirs is still running (a reader by `id > cursor`
 * loses rows that commit late). Older epochs have no running transactions.
 */
export const settledAfter = (cursor: Cursor) => sql`
  (epoch, txid, id) > (${cursor.epoch}, ${cursor.txid}::xid8, ${cursor.id}::bigint)
  and (epoch, txid) < ((select max(epoch) from ledger_epochs), pg_snapshot_xmin(pg_current_snapshot()))`;

export async function readLedger(
  session: NodePgDatabase,
  cursor: Cursor,
  limit: number,
): Promise<LedgerRow[]> {
  const { rows } = await session.execute<LedgerRow & Record<string, unknown>>(sql`
    select epoch, txid::text, id::text, seat_id::text as "seatId", version, event_id::text as "eventId", status::text,
           reservation_id as "reservationId", replaces_reservation_id as "replacesReservationId",
           floor(extract(epoch from occurred_at) * 1000)::float8 as "timestampMs"
    from seat_events
    where ${settledAfter(cursor)}
    order by seat_events.epoch, seat_events.txid, seat_events.id
    limit ${limit}`);
  return rows;
}

export interface Backlog {
  rows: number;
  /** Age of the oldest row not published. */
  seconds: number;
  /** Age of the oldest transaction still writing anywhere in the cluster; rows after it wait. */
  horizonSeconds: number;
  /** Who that is, for the log. */
  culprit: string | null;
}

/** What is committed and not published. Prepared transactions count too: they hold everything back alike. */
export async function readBacklog(session: NodePgDatabase, cursor: Cursor): Promise<Backlog> {
  const { rows } = await session.execute<Backlog & Record<string, unknown>>(sql`
    with waiting as materialized (
      select occurred_at from seat_events
      where (epoch, txid, id) > (${cursor.epoch}, ${cursor.txid}::xid8, ${cursor.id}::bigint)
      order by epoch, txid, id limit ${BACKLOG_LIMIT_ROWS}
    ), writers as (
      select xact_start as began, format('pid %s (%s) in database %s', pid, application_name, datname) as who
      from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()
      union all
      select prepared, format('prepared transaction %s in database %s', gid, database) from pg_prepared_xacts
    ), oldest as (select * from writers where began is not null order by began limit 1)
    select (select count(*)::int from waiting) as rows,
           coalesce(extract(epoch from clock_timestamp() - (select min(occurred_at) from waiting))::float8, 0) as seconds,
           coalesce(extract(epoch from clock_timestamp() - (select began from oldest))::float8, 0) as "horizonSeconds",
           (select who from oldest) as culprit`);
  return rows[0] ?? { rows: 0, seconds: 0, horizonSeconds: 0, culprit: null };
}
