import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { ADVISORY_LOCKS } from "./epoch.ts";
import { rowOf } from "./query.ts";

/**
 * How long an engine relies on its last check of which engines use the database. Short, because giving back a
 * seat has to wait for it. With one check per second, two in a row may fail.
 */
export const TRUST_MS = 3000;

/**
 * The age at which a session may free a seat that was sold for good: every check from before the session has
 * expired by then.
 */
const PRESENT_MS = TRUST_MS + 500;

/** The sessions that take seats. All versions use this name; newer ones also hold a presence lock. */
export const RESERVATION_SESSIONS = "sentinel-reservation";

const presentSince = new WeakMap<pg.ClientBase, number>();

/** Returns a number that tells this process's sessions from those of others. */
export const newPresence = () => 1 + Math.floor(Math.random() * (2 ** 31 - 2));

/** Makes the session visible to all engines on the database for as long as it lives. */
export async function enterPresence(client: pg.ClientBase, presence: number): Promise<void> {
  await client.query("select pg_advisory_lock_shared($1, $2)", [ADVISORY_LOCKS.presence, presence]);
  presentSince.set(client, performance.now());
}

/**
 * Returns whether every engine must have noticed this session by now. Freeing a seat that was sold for good
 * requires such a session, because no engine then believes that it is alone on the database.
 */
export const isSeenByAll = (client: pg.ClientBase): boolean =>
  performance.now() - (presentSince.get(client) ?? Number.POSITIVE_INFINITY) > PRESENT_MS;

/**
 * The engines on the database: the numbers of the processes, and the count of sessions of older versions,
 * which have no number.
 */
export interface Company {
  presences: number[];
  unnumberedCount: number;
}

export function readCompany(database: NodePgDatabase): Promise<Company> {
  return rowOf(
    database,
    sql`
    with present as materialized (
      select l.pid, l.objid::bigint::int as presence
      from pg_locks l
      where l.locktype = 'advisory' and l.classid = ${ADVISORY_LOCKS.presence}::oid and l.objsubid = 2 and l.granted
        and l.database = (select oid from pg_database where datname = current_database())
    )
    select array(select distinct presence from present) as presences,
           (select count(*)::int from pg_stat_activity a
            where a.datname = current_database() and a.application_name = ${RESERVATION_SESSIONS}
              and a.pid not in (select pid from present)) as "unnumberedCount"`,
  );
}
