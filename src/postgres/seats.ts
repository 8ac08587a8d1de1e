import { eq, inArray, type SQL, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { SeatChange } from "../venue/seat-events.ts";
import { type SeatStatus, VERSION_LIMIT } from "../venue/seat-memory.ts";
import { rowOf } from "./query.ts";
import { events, reservations, seatEvents, seats } from "./schema.ts";

/**
 * Seats for memory, packed by the database: 8 bytes per seat instead of a row. A row cost the main thread 6
 * µs, which for 1.5 million seats took most of the first 10 seconds.
 */
export interface PackedSeats {
  /**
   * Per seat, 4 bytes big-endian of the distance of its id from the page's start, and 4 bytes for
   * `SeatMemory.learnWord`.
   */
  seats: Buffer;
  /** The id to continue after; null if there are no more seats. */
  next: number | null;
}

/** Seats farther than this from the page's start are left to the next page. */
const REACH = 2 ** 31;

/** A hold that is over counts as free, because the next buyer takes it over. */
const isFree = sql`(${seats.status} = 'available' or (${seats.status} = 'held' and ${seats.holdExpiresAt} <= now()))`;

/** A seat as a word for `SeatMemory.learnWord`. */
const word = sql`${seats.version} * 8
  + case when ${seats.eventId} in (select ${events.id} from ${events} where not ${events.cancellable}) then 4 else 0 end
  + case when ${isFree} then 1 when ${seats.status} = 'held' then 2 else 3 end`;

/**
 * Reads a page of packed seats. One value per seat in one aggregate takes the database 0.6 µs per seat;
 * sorting ids and words separately took 0.9.
 */
function readPacked(
  database: NodePgDatabase,
  after: number,
  filter: SQL,
  limit: number,
): Promise<PackedSeats> {
  return rowOf(
    database,
    sql`
    with page as (
      select ${seats.id} - ${after}::bigint as step,
             ${word} as word
      from ${seats}
      where ${seats.id} > ${after} and ${filter} and ${seats.version} < ${VERSION_LIMIT}
      order by ${seats.id} limit ${limit}
    )
    select coalesce(string_agg(int8send(step << 32 | word), ''::bytea) filter (where step < ${REACH}), '') as seats,
           case when count(*) = ${limit} or max(step) >= ${REACH}
             then (${after}::bigint + coalesce(max(step) filter (where step < ${REACH}), min(step) - 1))::float8 end as next
    from page`,
  );
}

/** Returns the largest seat id; 0 if there are no seats. */
export async function readLastSeatId(database: NodePgDatabase): Promise<number> {
  const query = sql`select coalesce(max(${seats.id}), 0)::float8 as last from ${seats}`;
  return (await rowOf<{ last: number }>(database, query)).last;
}

/** Reads the next seats by id: at most `limit`, after the given id, up to `last`. */
export function readSeatsAfter(
  database: NodePgDatabase,
  after: number,
  limit: number,
  last: number,
): Promise<PackedSeats> {
  return readPacked(database, after, sql`${seats.id} <= ${last}`, limit);
}

/** Reads the next free seats of these id ranges: at most `limit`, after the given id. */
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
  return readPacked(database, after, sql`(${inRanges}) and ${isFree}`, limit);
}

/** A seat's current state, in the form of a change. An expired hold counts as free. */
export type SeatNow = SeatChange;

const readSeatsWhere = (database: NodePgDatabase, filter: SQL): Promise<SeatNow[]> =>
  database
    .select({
      seatId: seats.id,
      version: seats.version,
      status: sql<SeatStatus>`case when ${isFree} then 'available' else ${seats.status}::text end`,
      final: sql<boolean>`${seats.status} = 'reserved' and not ${events.cancellable}`,
    })
    .from(seats)
    .innerJoin(events, eq(events.id, seats.eventId))
    .where(filter);

/** Reads the seats of these reservations. */
export function readSeatsOf(database: NodePgDatabase, reservationIds: string[]): Promise<SeatNow[]> {
  const named = sql`(select unnest(seat_ids) from reservations where id = any(${sql.param(reservationIds)}::uuid[]))`;
  return readSeatsWhere(database, inArray(seats.id, named));
}

/** Reads the seats that exist among these ids. */
export function readSeatsNamed(database: NodePgDatabase, seatIds: number[]): Promise<SeatNow[]> {
  return readSeatsWhere(database, sql`${seats.id} = any(${sql.param(seatIds)}::bigint[])`);
}

/** A moment of the database: its epoch and the transactions visible then. */
export interface Moment {
  epoch: number;
  snapshot: string;
}

export const readMoment = (database: NodePgDatabase): Promise<Moment> =>
  rowOf(
    database,
    sql`select max(epoch) as epoch, pg_current_snapshot()::text as snapshot from ledger_epochs`,
  );

/**
 * Selects the ids of seats changed by transactions that were not visible at that moment. These are the ones
 * running then, found one by one, and those begun since, from the snapshot's upper end. Reading from its
 * lower end instead would read the whole range, which grows with every sale while somebody keeps a
 * transaction open.
 */
const changedSince = (since: Moment): SQL => sql`
  select ${seatEvents.seatId} as id from ${seatEvents}
  where ${seatEvents.epoch} = ${since.epoch} and ${seatEvents.txid} >= pg_snapshot_xmax(${since.snapshot}::pg_snapshot)
  union all
  select found.id from pg_snapshot_xip(${since.snapshot}::pg_snapshot) as running(txid) cross join lateral (
    select ${seatEvents.seatId} as id from ${seatEvents}
    where ${seatEvents.epoch} = ${since.epoch} and ${seatEvents.txid} = running.txid offset 0
  ) found`;

/** Seats changed since a moment, read in one snapshot, which is the next such moment. */
export interface SeatChangesPage {
  now: Moment;
  /** 16 bytes per seat: 8 big-endian for its id and 8 for the word of `SeatMemory.learnWord`. */
  seats: Buffer;
}

/**
 * Reads the seats changed by transactions not visible at that moment, and the seats of expired but unswept
 * holds of these events. The cost depends only on the number of changes, not of seats: 1 ms of Postgres per
 * 1,000 changes. The limit makes Postgres look up each seat; a plain join reads all seats, because the plan expects that
 * a third of the ledger is new.
 */
export async function readSeatChanges(
  database: NodePgDatabase,
  since: Moment,
  eventIds: number[],
): Promise<SeatChangesPage> {
  const query = sql`
    with picked as materialized (
      ${changedSince(since)}
      union
      select unnest(${reservations.seatIds}) from ${reservations}
      where ${reservations.status} = 'held' and ${reservations.expiresAt} <= now()
        and ${reservations.eventId} = any(${sql.param(eventIds)}::bigint[])
    )
    select max(epoch) as epoch, pg_current_snapshot()::text as snapshot,
           (select coalesce(string_agg(int8send(${seats.id}) || int8send((${word})::bigint), ''::bytea), '')
            from picked cross join lateral (select * from ${seats} where ${seats.id} = picked.id limit 1) as ${seats}
            where ${seats.version} < ${VERSION_LIMIT}) as seats
    from ledger_epochs`;
  const { seats: packed, ...now } = await rowOf<Moment & { seats: Buffer }>(database, query);
  return { now, seats: packed };
}

/** Same as `readSeatsAfter`, only for seats changed by transactions not visible at that moment. */
export function readChangedSeatsAfter(
  database: NodePgDatabase,
  since: Moment,
  after: number,
  limit: number,
): Promise<PackedSeats> {
  return readPacked(database, after, sql`${seats.id} = any(array(${changedSince(since)}))`, limit);
}
