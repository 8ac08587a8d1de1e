import { eq, inArray, type SQL, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { type SeatStatus, VERSION_LIMIT } from "../seats/seat-memory.ts";
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

/** The next free seats of these ranges of ids, at most `limit`, after the one given. */
export function readFreeSeatsAfter(
  database: NodePgDatabase,
  ranges: { first: number; last: number }[],
  after: number,
  limit: number,
): Promise<PackedSeats> {
  const inRanges = sql.join(
    ranges.map(({ first, last }) => sql`${seats.id} between ${first} and ${last}`),
    sql` or `,
  );
  return readPacked(database, sql`${seats.id} > ${after} and (${inRanges}) and ${isFree}`, limit);
}

/** The seats of these reservations as they are now; `final` where they are sold for good. A hold that is over counts as free. */
export async function readSeatsOf(
  database: NodePgDatabase,
  reservationIds: string[],
): Promise<{ seatId: number; version: number; status: SeatStatus; final: boolean }[]> {
  return database
    .select({
      seatId: seats.id,
      version: seats.version,
      status: sql<SeatStatus>`case when ${isFree} then 'available' else ${seats.status}::text end`,
      final: sql<boolean>`${seats.status} = 'reserved' and not ${events.cancellable}`,
    })
    .from(seats)
    .innerJoin(events, eq(events.id, seats.eventId))
    .where(
      inArray(
        seats.id,
        sql`(select unnest(seat_ids) from reservations where id = any(${sql.param(reservationIds)}::uuid[]))`,
      ),
    );
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
