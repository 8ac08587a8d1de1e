import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";

/** Advisory lock keys of this project, in one place so that they cannot meet. */
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
 * Starts a new epoch when this database is not where the newest one began: restored into another
 * cluster (its system identifier differs) or the same (its oids do), or promoted (its timeline does).
 * Transaction ids begin anew there; the ledger's reader and the seats' `last_txid` compare within an epoch
 * only. The events of a restored database must not be taken for those that were published after its dump.
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
    // Whoever still writes rows of the older epoch is waited for: they would come behind the ledger's reader.
    await tx.execute(sql`select sentinel_lock_ledger()`);
    await tx.execute(sql`
      with here as (${here}), newest as (select * from ledger_epochs order by epoch desc limit 1)
      insert into ledger_epochs (epoch, system_identifier, timeline, place)
      select coalesce((select epoch from newest), 0) + 1, here.system, here.timeline, here.place from here
      where not exists (select from newest where ${isHere})`);
  });
}
