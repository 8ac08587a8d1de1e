import { type SQL, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { type LedgerPosition, positionIn } from "./ledger.ts";
import { rowsOf } from "./query.ts";

/** The end of the ledger's chain: the last row of its newest checkpoint. */
export interface ChainHead extends LedgerPosition {
  number: number;
  rowsTotal: number;
  /** Base64. */
  digest: string;
}

export interface Checkpoint extends ChainHead {
  rowCount: number;
  /** Four bytes per row. */
  rowDigests: Buffer;
  /** The form in which its rows were hashed. */
  rowForm: number;
}

/** @returns undefined if nothing was sealed yet */
export async function readChainHead(session: NodePgDatabase): Promise<ChainHead | undefined> {
  const query = sql`
    select number::float8, epoch, txid::text, id::text, rows_total::float8 as "rowsTotal", encode(digest, 'base64') as digest
    from ledger_checkpoints order by ledger_checkpoints.number desc limit 1`;
  return (await rowsOf<ChainHead>(session, query))[0];
}

/**
 * Counts the seat rows that are sealed up to this position. It never counts too many; the newest windows may
 * be missing. Acts are sealed too but not counted, as they are not published.
 */
export async function readSealedSeatRowsUpTo(session: NodePgDatabase, end: LedgerPosition): Promise<number> {
  const isUpTo = sql`(epoch, txid, id) <= ${positionIn(end)}`;
  const query = sql`
    select rows_total::float8 - (select count(*) from admin_log where ${isUpTo}) as "rowsTotal"
    from ledger_checkpoints where ${isUpTo} order by ledger_checkpoints.number desc limit 1`;
  const [newest] = await rowsOf<{ rowsTotal: number }>(session, query);
  return Math.max(0, newest?.rowsTotal ?? 0);
}

/**
 * Appends a checkpoint if its number follows the newest one.
 * @returns false if another session has sealed meanwhile
 */
export async function appendCheckpoint(session: NodePgDatabase, checkpoint: Checkpoint): Promise<boolean> {
  const { number, epoch, txid, id, rowCount, rowsTotal, digest, rowDigests, rowForm } = checkpoint;
  const appended = await session.execute(sql`
    insert into ledger_checkpoints (number, epoch, txid, id, row_count, rows_total, digest, row_digests, row_form)
    select ${number}, ${epoch}, ${txid}::xid8, ${id}::bigint, ${rowCount}, ${rowsTotal}::bigint, ${Buffer.from(digest, "base64")}, ${rowDigests}, ${rowForm}
    where coalesce((select max(number) from ledger_checkpoints), 0) = ${number - 1}
    on conflict do nothing`);
  return appended.rowCount === 1;
}

/** Reads checkpoints in the order of their numbers: at most `limit`, after the given number. */
export const readCheckpointsAfter = (session: NodePgDatabase, after: number, limit: number) =>
  readAfter<Checkpoint>(
    session,
    after,
    limit,
    sql`, rows_total::float8 as "rowsTotal", row_digests as "rowDigests"`,
  );

/** The fields of a checkpoint that its window's rows are checked against. */
export type SealedWindow = LedgerPosition & Pick<Checkpoint, "number" | "rowCount" | "digest" | "rowForm">;

/** Same as `readCheckpointsAfter`, without the CRCs of the rows, which are megabytes for a thousand windows. */
export const readWindowsAfter = (session: NodePgDatabase, after: number, limit: number) =>
  readAfter<SealedWindow>(session, after, limit, sql``);

const readAfter = <Row extends SealedWindow>(
  session: NodePgDatabase,
  after: number,
  limit: number,
  more: SQL,
) =>
  rowsOf<Row>(
    session,
    sql`select number::float8, epoch, txid::text, id::text, row_count as "rowCount", encode(digest, 'base64') as digest,
               row_form as "rowForm"${more}
        from ledger_checkpoints where number > ${after} order by ledger_checkpoints.number limit ${limit}`,
  );
