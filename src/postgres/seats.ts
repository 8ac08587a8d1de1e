import { and, asc, eq, gt, type SQL, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { VERSION_LIMIT } from "../seats/seat-memory.ts";
import { events, seatEvents, seats } from "./schema.ts";

/**
 * Seats for memory, packed by the database: 12 bytes a seat instead of a row each. (A row took the main
 * thread 6 µs, which for 1.5 million seats was most of the first 10 seconds.)
 */
export interface PackedSeats {
  count: number;
  /** The last id, to go on after; 0 when there is none. */
  lastId: number;
  /** 8 bytes big-endian each. */
  ids: Buffer;
  /** 4 bytes big-endian each, as `SeatMemory.learnWord` takes them. */
  words: Buffer;
}

async function readPacked(database: NodePgDatabase, filter: SQL, limit: number): Promise<PackedSeats> {
  const { rows } = await database.execute<{ count: number; lastId: string; ids: Buffer; words: Buffer }>(sql`
    with page as (
      select ${seats.id} as id,
             ${seats.version} * 8 + case when ${events.cancellable} then 0 else 4 end
               + case ${seats.status} when 'available' then 1 when 'held' then 2 else 3 end as word
      from ${seats} join ${events} on ${events.id} = ${seats.eventId}
      where ${filter} and ${seats.version} < ${VERSION_LIMIT}
      order by ${seats.id} limit ${limit}
    )
    select count(*)::int as count, coalesce(max(id), 0) as "lastId",
           coalesce(string_agg(int8send(id), ''::bytea order by id), '') as ids,
           coalesce(string_agg(int4send(word), ''::bytea order by id), '') as words
    from page`);
  const [row] = rows;
  if (!row) throw new Error("the database gave no page of seats");
  return { ...row, lastId: Number(row.lastId) };
}

/** The next seats by id, at most `limit`, after the one given. */
export function readSeatsAfter(database: NodePgDatabase, after: number, limit: number): Promise<PackedSeats> {
  return readPacked(database, sql`${seats.id} > ${after}`, limit);
}

/** The epoch that the database lives in now. */
export async function readEpoch(database: NodePgDatabase): Promise<number> {
  const { rows } = await database.execute<{ epoch: number }>(
    sql`select max(epoch) as epoch from ledger_epochs`,
  );
  return rows[0]?.epoch ?? 0;
}

/** A moment of the database: which transactions were visible, in which epoch. */
export interface Moment {
  epoch: number;
  snapshot: string;
}

export async function readMoment(database: NodePgDatabase): Promise<Moment> {
  const { rows } = await database.execute<{ epoch: number; snapshot: string }>(
    sql`select max(epoch) as epoch, pg_current_snapshot()::text as snapshot from ledger_epochs`,
  );
  const [row] = rows;
  if (!row) throw new Error("the database gave no snapshot");
  return { epoch: row.epoch, snapshot: row.snapshot };
}

/** As `readSeatsAfter`, only seats changed by transactions that were not visible at that moment. */
export function readChangedSeatsAfter(
  database: NodePgDatabase,
  since: Moment,
  after: number,
  limit: number,
): Promise<PackedSeats> {
  const changed = sql`
    select ${seatEvents.seatId} from ${seatEvents}
    where ${seatEvents.epoch} = ${since.epoch} and ${seatEvents.txid} >= pg_snapshot_xmin(${since.snapshot}::pg_snapshot)
      and not pg_visible_in_snapshot(${seatEvents.txid}, ${since.snapshot}::pg_snapshot)`;
  return readPacked(database, sql`${seats.id} > ${after} and ${seats.id} in (${changed})`, limit);
}

/** A seat as clients see it. */
export interface SeatView {
  seatId: number;
  eventId: number;
  seatNumber: string;
  status: "available" | "held" | "reserved";
  version: number;
  priceMinor: number;
  currency: string;
}

const view = {
  seatId: seats.id,
  eventId: seats.eventId,
  seatNumber: seats.seatNumber,
  status: seats.status,
  version: seats.version,
  priceMinor: seats.priceMinor,
  currency: events.currency,
};

export async function findSeat(database: NodePgDatabase, seatId: number): Promise<SeatView | undefined> {
  const found = await database
    .select(view)
    .from(seats)
    .innerJoin(events, eq(events.id, seats.eventId))
    .where(eq(seats.id, seatId));
  return found[0];
}

export interface SeatQuery {
  status: SeatView["status"] | undefined;
  after: number;
  limit: number;
}

export function listSeats(
  database: NodePgDatabase,
  { status, after, limit }: SeatQuery,
): Promise<SeatView[]> {
  return database
    .select(view)
    .from(seats)
    .innerJoin(events, eq(events.id, seats.eventId))
    .where(and(gt(seats.id, after), status ? eq(seats.status, status) : undefined))
    .orderBy(asc(seats.id))
    .limit(limit);
}
