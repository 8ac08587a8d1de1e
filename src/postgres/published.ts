import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { arrayOf } from "./arrays.ts";
import { type Cursor, isBefore, ledgerRowText } from "./ledger.ts";

/** Reads the cursors of all sinks, by their names. */
export async function readCursors(session: NodePgDatabase): Promise<Map<string, Cursor>> {
  const { rows } = await session.execute<Cursor & { sink: string } & Record<string, unknown>>(
    sql`select sink, epoch, txid::text, id::text from ledger_cursors`,
  );
  return new Map(rows.map(({ sink, ...cursor }) => [sink, cursor]));
}

/** Returns the cursor that is farthest. */
export const farthest = (cursors: Iterable<Cursor>): Cursor | undefined =>
  [...cursors].reduce<Cursor | undefined>(
    (far, cursor) => (far === undefined || isBefore(far, cursor) ? cursor : far),
    undefined,
  );

export async function readNewestEpoch(session: NodePgDatabase): Promise<number> {
  const { rows } = await session.execute<{ epoch: number | null }>(
    sql`select max(epoch) as epoch from ledger_epochs`,
  );
  return rows[0]?.epoch ?? 0;
}

/** Reads the texts of the rows that exist, in no particular order. */
export async function readRowsOf(
  session: NodePgDatabase,
  wanted: { seatId: number; version: number }[],
): Promise<string[]> {
  const { rows } = await session.execute<{ texts: string | null }>(sql`
    select string_agg(row_text, E'\\n') as texts from (
      select ${ledgerRowText} as row_text
      from unnest(${arrayOf(wanted.map(({ seatId }) => seatId))}::bigint[], ${arrayOf(wanted.map(({ version }) => version))}::bigint[])
        as wanted(wanted_seat_id, wanted_version)
      join seat_events on seat_id = wanted_seat_id and version = wanted_version
    ) page`);
  return rows[0]?.texts?.split("\n") ?? [];
}

/** Reads the next seats by id, each with its greatest version before the cursor. */
export async function readPassedVersions(
  session: NodePgDatabase,
  cursor: Cursor,
  { after, limit }: { after: number; limit: number },
): Promise<{ seatId: number; version: number }[]> {
  const { rows } = await session.execute<{ seatId: number; version: number }>(sql`
    select seat_id::float8 as "seatId", max(version) as version from seat_events
    where seat_id > ${after} and (epoch, txid, id) <= (${cursor.epoch}, ${cursor.txid}::xid8, ${cursor.id}::bigint)
    group by seat_id order by seat_id limit ${limit}`);
  return rows;
}

export async function countRows(
  session: NodePgDatabase,
  table: "seat_events" | "seats" | "reservations",
): Promise<number> {
  const { rows } = await session.execute<{ count: number }>(
    sql`select count(*)::float8 as count from ${sql.identifier(table)}`,
  );
  return rows[0]?.count ?? 0;
}
