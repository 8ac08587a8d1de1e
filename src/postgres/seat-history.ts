import { and, asc, eq, gt, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { millisecondsOf, rowOf } from "./query.ts";
import { seatEvents } from "./schema.ts";

const view = {
  version: seatEvents.version,
  status: seatEvents.status,
  reservationId: seatEvents.reservationId,
  replacesReservationId: seatEvents.replacesReservationId,
  at: seatEvents.occurredAt,
};

/** Reads a seat's ledger in the order of its versions, after the given version. */
export function readSeatHistory(
  database: NodePgDatabase,
  seatId: number,
  { after, limit }: { after: number; limit: number },
) {
  return database
    .select(view)
    .from(seatEvents)
    .where(and(eq(seatEvents.seatId, seatId), gt(seatEvents.version, after)))
    .orderBy(asc(seatEvents.version))
    .limit(limit);
}

export async function readDatabaseTimeMs(database: NodePgDatabase): Promise<number> {
  return (await rowOf<{ ms: number }>(database, sql`select ${millisecondsOf("clock_timestamp()")} as ms`)).ms;
}

/** Counts the ledger rows of consecutive seats, up to a limit. */
export async function countHistoryRows(
  database: NodePgDatabase,
  { firstSeatId, seatCount }: { firstSeatId: number; seatCount: number },
  limit: number,
): Promise<number> {
  const query = sql`
    select count(*)::int as count from (
      select from seat_events where seat_id >= ${firstSeatId} and seat_id < ${firstSeatId + seatCount} limit ${limit}
    ) as counted`;
  return (await rowOf<{ count: number }>(database, query)).count;
}

/**
 * Reads the statuses of consecutive seats at a moment, from the newest row of each written until then.
 * Returns 4 bytes big-endian per seat that had changed by then: its index in the range times 4, plus 1 for
 * available, 2 for held or 3 for reserved. All other seats were available.
 */
export async function readStatusesAt(
  database: NodePgDatabase,
  { firstSeatId, seatCount, atMs }: { firstSeatId: number; seatCount: number; atMs: number },
): Promise<Buffer> {
  const query = sql`
    with newest as (
      select distinct on (seat_id) seat_id, status from seat_events
      where seat_id >= ${firstSeatId} and seat_id < ${firstSeatId + seatCount} and occurred_at <= ${new Date(atMs)}
      order by seat_id, version desc
    )
    select coalesce(string_agg(int4send((seat_id - ${firstSeatId}::bigint)::int * 4 + case status
             when 'RESERVED' then 3 when 'HELD' then 2 when 'EXTENDED' then 2 else 1 end), ''::bytea), '') as words
    from newest`;
  return (await rowOf<{ words: Buffer }>(database, query)).words;
}
