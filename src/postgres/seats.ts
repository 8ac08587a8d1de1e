import { type SQL, sql } from "drizzle-orm";
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

/** A hold that is over counts as free: whoever wants the seat takes it over. */
const isFree = sql`(${seats.status} = 'available' or (${seats.status} = 'held' and ${seats.holdExpiresAt} <= now()))`;

async function readPacked(database: NodePgDatabase, filter: SQL, limit: number): Promise<PackedSeats> {
  const { rows } = await database.execute<{ count: number; lastId: string; ids: Buffer; words: Buffer }>(sql`
    with page as (
      select ${seats.id} as id,
             ${seats.version} * 8 + case when ${events.cancellable} then 0 else 4 end
               + case when ${isFree} then 1 when ${seats.status} = 'held' then 2 else 3 end as word
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

/** More free seats of a section than any request wants; enough for those that ask at the same moment. */
const FREE_LIMIT_SEATS = 5000;

/** The first free seats of a section. */
export function readFreeSeats(
  database: NodePgDatabase,
  { firstSeatId, seatCount }: { firstSeatId: number; seatCount: number },
): Promise<PackedSeats> {
  const inSection = sql`${seats.id} >= ${firstSeatId} and ${seats.id} < ${firstSeatId + seatCount}`;
  return readPacked(database, sql`${inSection} and ${isFree}`, FREE_LIMIT_SEATS);
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
