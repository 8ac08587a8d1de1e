import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { ADVISORY_LOCKS } from "./epoch.ts";

/**
 * How long an engine relies on its last look at who else uses the database. Short, because a seat that another engine
 * gives back has to wait for it. With one look a second, two in a row may fail.
 */
export const TRUST_MS = 3000;

/** The age at which a session may free a seat that was sold for good: by then every look from before it has expired. */
const PRESENT_MS = TRUST_MS + 500;

/** Sessions that take seats; they have had this name in all versions, and hold a presence lock since this one. */
export const RESERVATION_SESSIONS = "sentinel-reservation";

const presentSince = new WeakMap<pg.ClientBase, number>();

/** A number for this process, which tells its sessions from those of others. */
export const newPresence = () => 1 + Math.floor(Math.random() * (2 ** 31 - 2));

/** Makes the session visible to all engines on the database, for as long as it lives. */
export async function enterPresence(client: pg.ClientBase, presence: number): Promise<void> {
  await client.query("select pg_advisory_lock_shared($1, $2)", [ADVISORY_LOCKS.presence, presence]);
  presentSince.set(client, performance.now());
}

/**
 * Whether every engine has had to notice this session by now. Code that frees a seat that was sold for good must run on
 * such a session: an engine that believed to be alone on the database no longer does.
 */
export const isSeenByAll = (client: pg.ClientBase): boolean =>
  performance.now() - (presentSince.get(client) ?? Number.POSITIVE_INFINITY) > PRESENT_MS;

/** The engines on the database: the processes' numbers, and how many sessions belong to older versions, which have no number. */
export interface Company {
  presences: number[];
  unnumberedCount: number;
}

export async function readCompany(database: NodePgDatabase): Promise<Company> {
  const { rows } = await database.execute<{ presences: number[] | null; unnumbered: number }>(sql`
    with present as materialized (
      select l.pid, l.objid::bigint::int as presence
      from pg_locks l
      where l.locktype = 'advisory' and l.classid = ${ADVISORY_LOCKS.presence}::oid and l.objsubid = 2 and l.granted
        and l.database = (select oid from pg_database where datname = current_database())
    )
    select array(select distinct presence from present) as presences,
           (select count(*)::int from pg_stat_activity a
            where a.datname = current_database() and a.application_name = ${RESERVATION_SESSIONS}
              and a.pid not in (select pid from present)) as unnumbered`);
  const [row] = rows;
  return { presences: row?.presences ?? [], unnumberedCount: row?.unnumbered ?? 0 };
}
