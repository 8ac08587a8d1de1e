import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import { Client, Pool } from "pg";
import { ensureDatabase, prepareDatabase } from "../src/postgres/migrate.ts";

const CONNECT_TIMEOUT_MS = 5_000;

/** A separate database on the shared Postgres, with event 1 and its seats from 1 on, all free. */
export interface SeatsDatabase {
  url: string;
  seatCount: number;
  /** For whatever else a scenario creates or asks. */
  session: NodePgDatabase;
  /** Counts every change of a seat so far, from the ledger. */
  ledgerRows(): Promise<number>;
  /** Grows by one with each ledger row, including rolled back ones, and costs nothing to read, unlike their count. */
  ledgerPosition(): Promise<number>;
  reservedSeats(firstSeatId: number, seatCount: number): Promise<number>;
  /**
   * Transactions of the whole Postgres that wrote, up to now. (pg_stat_database's commits come up to ten
   * seconds late from connections that fall silent.)
   */
  writingTransactions(): Promise<number>;
  /** Does what a database in use would have done long ago: visibility map, statistics, pages on disk. */
  settleOnDisk(): Promise<void>;
}

/** Opens a database with the demo event's seats, plus seats in no section. It is dropped at the end. */
export async function openSeatsDatabase(
  closes: AsyncDisposableStack,
  postgresUrl: string,
  name: string,
  seatCount: number,
): Promise<SeatsDatabase> {
  closes.defer(() => dropDatabase(postgresUrl, name));
  const url = await ensureDatabase(postgresUrl, name);
  await prepareDatabase(url, CONNECT_TIMEOUT_MS);
  const pool = new Pool({ connectionString: url, max: 1 });
  closes.defer(() => pool.end());
  await pool.query(
    `insert into seats (event_id, seat_number, price_minor)
     select 1, 'S-' || number, 15000 from generate_series((select count(*) + 1 from seats), $1) number`,
    [seatCount],
  );
  const ask = async (statement: string, parameters: unknown[] = []) => {
    const { rows } = await pool.query<{ figure: string }>(statement, parameters);
    return Number(rows[0]?.figure);
  };
  const settleOnDisk = async () => {
    await pool.query("vacuum analyze");
    await pool.query("checkpoint");
  };
  await settleOnDisk();
  return {
    ...{ url, seatCount, session: drizzle(pool), settleOnDisk },
    ledgerRows: () => ask("select count(*) as figure from seat_events"),
    ledgerPosition: () =>
      ask("select case when is_called then last_value else 0 end as figure from seat_events_id_seq"),
    reservedSeats: (firstSeatId, count) =>
      ask("select count(*) as figure from seats where id >= $1 and id < $2 and status = 'reserved'", [
        firstSeatId,
        firstSeatId + count,
      ]),
    writingTransactions: () => ask("select pg_snapshot_xmax(pg_current_snapshot())::text as figure"),
  };
}

async function dropDatabase(postgresUrl: string, name: string): Promise<void> {
  const client = new Client({ connectionString: postgresUrl });
  await client.connect();
  try {
    await client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`);
  } finally {
    await client.end();
  }
}
