import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { isBefore, type LedgerPosition, ledgerRowText, positionIn } from "./ledger.ts";
import { arrayOf, rowOf, rowsOf } from "./query.ts";

/** Reads the cursors of all sinks, by their names. */
export async function readCursors(session: NodePgDatabase): Promise<Map<string, LedgerPosition>> {
  const query = sql`select sink, epoch, txid::text, id::text from ledger_cursors`;
  const rows = await rowsOf<LedgerPosition & { sink: string }>(session, query);
  return new Map(rows.map(({ sink, ...cursor }) => [sink, cursor]));
}

/** Returns the cursor that is farthest. */
export const farthest = (cursors: Iterable<LedgerPosition>): LedgerPosition | undefined =>
  [...cursors].reduce<LedgerPosition | undefined>(
    (far, cursor) => (far === undefined || isBefore(far, cursor) ? cursor : far),
    undefined,
  );

export async function readNewestEpoch(session: NodePgDatabase): Promise<number> {
  const query = sql`select coalesce(max(epoch), 0) as epoch from ledger_epochs`;
  return (await rowOf<{ epoch: number }>(session, query)).epoch;
}

/** Reads the texts of the rows that exist, in no particular order. */
export async function readRowsOf(
  session: NodePgDatabase,
  wanted: { seatId: number; version: number }[],
): Promise<string[]> {
  const query = sql`
    select string_agg(row_text, E'\\n') as texts from (
      select ${ledgerRowText} as row_text
      from unnest(${arrayOf(wanted.map(({ seatId }) => seatId))}::bigint[], ${arrayOf(wanted.map(({ version }) => version))}::bigint[])
        as wanted(wanted_seat_id, wanted_version)
      join seat_events on seat_id = wanted_seat_id and version = wanted_version
    ) page`;
  return (await rowOf<{ texts: string | null }>(session, query)).texts?.split("\n") ?? [];
}

/** Reads the next seats by id, each with its greatest version before the cursor. */
export const readPassedVersions = (
  session: NodePgDatabase,
  cursor: LedgerPosition,
  { after, limit }: { after: number; limit: number },
) =>
  rowsOf<{ seatId: number; version: number }>(
    session,
    sql`select seat_id::float8 as "seatId", max(version) as version from seat_events
        where seat_id > ${after} and (epoch, txid, id) <= ${positionIn(cursor)}
        group by seat_id order by seat_id limit ${limit}`,
  );

export async function countRows(
  session: NodePgDatabase,
  table: "seat_events" | "seats" | "reservations",
): Promise<number> {
  const query = sql`select count(*)::float8 as count from ${sql.identifier(table)}`;
  return (await rowOf<{ count: number }>(session, query)).count;
}
