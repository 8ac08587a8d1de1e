import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { type LedgerPosition, positionIn } from "./ledger.ts";
import { rowsOf } from "./query.ts";

/** The state stored with a sink's cursor, including an operator's orders. */
export interface SinkOrders {
  /** The number of partitions that keys are spread over; null for a file, and until it is known. */
  partitionCount: number | null;
  /** The number that an operator has confirmed, until the publisher uses it. */
  wantedPartitionCount: number | null;
  /** Whether that waits until every consumer group has read everything. */
  waitsForConsumers: boolean;
  /** Every row after this position is to be published again. */
  again: LedgerPosition | null;
}

type Row = Omit<SinkOrders, "again"> & { epoch: number | null; txid: string | null; id: string | null };

/** @returns undefined if nothing was ever published to this sink */
export async function readOrders(session: NodePgDatabase, sink: string): Promise<SinkOrders | undefined> {
  const query = sql`
    select partition_count as "partitionCount", wanted_partition_count as "wantedPartitionCount",
           waits_for_consumers as "waitsForConsumers", again_epoch as epoch, again_txid::text as txid, again_id::text as id
    from ledger_cursors where sink = ${sink}`;
  const [row] = await rowsOf<Row>(session, query);
  if (!row) return undefined;
  const { epoch, txid, id, ...orders } = row;
  const again = epoch === null || txid === null || id === null ? null : { epoch, txid, id };
  return { ...orders, again };
}

/** Stores the number of partitions that keys are spread over, and clears an order to change it. */
export async function rememberPartitions(
  session: NodePgDatabase,
  sink: string,
  count: number,
): Promise<void> {
  await session.execute(sql`
    update "ledger_cursors" set partition_count = ${count}, wanted_partition_count = null, waits_for_consumers = true
    where sink = ${sink}`);
}

/** Orders the publisher to spread keys over this number of partitions. */
export async function orderPartitions(
  session: NodePgDatabase,
  sink: string,
  { count, waitsForConsumers }: { count: number; waitsForConsumers: boolean },
): Promise<void> {
  await session.execute(sql`
    update "ledger_cursors" set wanted_partition_count = ${count}, waits_for_consumers = ${waitsForConsumers}
    where sink = ${sink}`);
}

/**
 * Carries out that order: stores the ordered number as the one in use.
 * @returns false if the order was withdrawn or changed meanwhile
 */
export async function usePartitionsOrdered(
  session: NodePgDatabase,
  sink: string,
  count: number,
): Promise<boolean> {
  const used = await session.execute(sql`
    update "ledger_cursors" set partition_count = ${count}, wanted_partition_count = null, waits_for_consumers = true
    where sink = ${sink} and wanted_partition_count = ${count}`);
  return used.rowCount === 1;
}

/** @returns false if there is no such order, or it has already been carried out */
export async function withdrawPartitions(session: NodePgDatabase, sink: string): Promise<boolean> {
  const withdrawn = await session.execute(sql`
    update "ledger_cursors" set wanted_partition_count = null, waits_for_consumers = true
    where sink = ${sink} and wanted_partition_count is not null`);
  return withdrawn.rowCount === 1;
}

/** Orders the publisher to publish every row after this position again. */
export async function orderAgain(
  session: NodePgDatabase,
  sink: string,
  after: LedgerPosition,
): Promise<void> {
  await session.execute(sql`
    update "ledger_cursors" set again_epoch = ${after.epoch}, again_txid = ${after.txid}::xid8, again_id = ${after.id}
    where sink = ${sink}`);
}

/**
 * Carries out that order: moves the cursor back to the position.
 * @param from where this session left the cursor
 * @returns false if another session has moved it; this session must then stop publishing
 */
export async function goBack(
  session: NodePgDatabase,
  sink: string,
  { from, to }: { from: LedgerPosition; to: LedgerPosition },
): Promise<boolean> {
  const moved = await session.execute(sql`
    update "ledger_cursors" set epoch = ${to.epoch}, txid = ${to.txid}::xid8, id = ${to.id}, updated_at = now(),
           again_epoch = null, again_txid = null, again_id = null, again_at = now()
    where sink = ${sink} and (epoch, txid, id) = ${positionIn(from)}`);
  return moved.rowCount === 1;
}

/** Reads the sinks whose events an operator had published again; some events arrive late there. */
export async function readSinksPublishedAgain(session: NodePgDatabase): Promise<Set<string>> {
  const query = sql`select sink from ledger_cursors where again_at is not null`;
  return new Set((await rowsOf<{ sink: string }>(session, query)).map(({ sink }) => sink));
}

/** Age at which a stored state no longer counts: its process no longer publishes. */
const STATE_VALID_SECONDS = 30;

/** Stores whether the sink works. The publishing process does so at each change and every 10 s. */
export async function storeSinkState(session: NodePgDatabase, isUp: boolean): Promise<void> {
  await session.execute(sql`
    insert into sink_states (only_row, is_up) values (true, ${isUp})
    on conflict (only_row) do update set is_up = excluded.is_up, told_at = now()`);
}

/** Returns whether the sink works, as stored by the publishing process; undefined if none has in the last 30 s. */
export async function readSinkState(session: NodePgDatabase): Promise<boolean | undefined> {
  const query = sql`
    select is_up as "isUp" from sink_states where told_at > now() - make_interval(secs => ${STATE_VALID_SECONDS})`;
  return (await rowsOf<{ isUp: boolean }>(session, query))[0]?.isUp;
}
