import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";

/** Advisory lock keys of this project, in one place so that they stay distinct. */
export const ADVISORY_LOCKS = {
  migrations: 7_310_001,
  epoch: 7_310_002,
  publisher: 7_310_003,
  catalogue: 7_310_004,
  sweeper: 7_310_005,
  /** The first of two keys: see presence.ts. */
  presence: 7_310_006,
  callerIndex: 7_310_010,
  denials: 7_310_011,
} as const;

/**
 * Starts a new epoch if this database is not where the newest epoch began. It was restored into another
 * cluster (different system identifier) or the same cluster (different oids), or promoted (different
 * timeline). Transaction ids start over there, and the ledger's reader and `last_txid` compare them only
 * within an epoch. Events of a restored database must not be mistaken for those published after its dump.
 */
export async function enterEpoch(database: NodePgDatabase): Promise<void> {
  const here = sql`
    select system_identifier::text as system,
           (select oid from pg_database where datname = current_database()) || '-' || 'ledger_epochs'::regclass::oid as place,
           ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int as timeline
    from pg_control_system()`;
  const isHere = sql`newest.system_identifier = here.system and newest.timeline = here.timeline
    and coalesce(newest.place, here.place) = here.place`;
  const known = await database.execute(sql`
    with here as (${here}), newest as (select * from ledger_epochs order by epoch desc limit 1)
    select from newest join here on ${isHere}`);
  if (known.rowCount) return;
  await database.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.epoch})`);
    // Waits for writers of rows of the older epoch; the ledger's reader would miss these rows.
    await tx.execute(sql`select sentinel_lock_ledger()`);
    await tx.execute(sql`
      with here as (${here}), newest as (select * from ledger_epochs order by epoch desc limit 1)
      insert into ledger_epochs (epoch, system_identifier, timeline, place)
      select coalesce((select epoch from newest), 0) + 1, here.system, here.timeline, here.place from here
      where not exists (select from newest where ${isHere})`);
  });
}
