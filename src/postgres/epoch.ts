import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";

/** Advisory lock keys of this project, in one place so that they cannot meet. */
export const ADVISORY_LOCKS = {
  migrations: 7_310_001,
  epoch: 7_310_002,
  publisher: 7_310_003,
  catalogue: 7_310_004,
  sweeper: 7_310_005,
} as const;

/**
 * Starts a new epoch when this database is not where the newest one began: restored into another
 * cluster (its system identifier differs) or promoted (its timeline does). Transaction ids begin anew
 * there; the ledger's reader and the seats' `last_txid` compare within an epoch only.
 */
export async function enterEpoch(database: NodePgDatabase): Promise<void> {
  const here = sql`
    select system_identifier::text as system, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int as timeline
    from pg_control_system()`;
  const known = await database.execute(sql`
    with here as (${here}), newest as (select * from ledger_epochs order by epoch desc limit 1)
    select from newest join here on newest.system_identifier = here.system and newest.timeline = here.timeline`);
  if (known.rowCount) return;
  await database.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.epoch})`);
    await tx.execute(sql`
      with here as (${here}), newest as (select * from ledger_epochs order by epoch desc limit 1)
      insert into ledger_epochs (epoch, system_identifier, timeline)
      select coalesce((select epoch from newest), 0) + 1, here.system, here.timeline from here
      where not exists (select from newest where newest.system_identifier = here.system and newest.timeline = here.timeline)`);
  });
}
