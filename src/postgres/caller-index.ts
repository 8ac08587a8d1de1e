import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { ADVISORY_LOCKS } from "./epoch.ts";
import { rowOf } from "./query.ts";

/** Longest wait for other transactions. If they take longer, the next start tries again. */
const LOCK_TIMEOUT_MS = 5000;

/**
 * Creates the index that counts and finds the holds of a caller, outside of any transaction, so that sales
 * continue. Everything works without it, only slower. A role without the privilege to create it uses the
 * database as it is.
 *
 * One process creates the index and no other waits for it. The session must hold no lock that others wait
 * for, because the creation waits for every running statement. (Under the migrations' lock it was seen to
 * deadlock.)
 */
export async function ensureCallerIndex(session: NodePgDatabase): Promise<void> {
  const { valid, before } = await rowOf<{ valid: boolean | null; before: string }>(
    session,
    sql`select (select indisvalid from pg_index where indexrelid = to_regclass('reservations_caller')) as valid,
               current_setting('lock_timeout') as before`,
  );
  if (valid) return;
  const lock = sql`select pg_try_advisory_lock(${ADVISORY_LOCKS.callerIndex}) as "isOurs"`;
  if (!(await rowOf<{ isOurs: boolean }>(session, lock)).isOurs) return;
  await session.execute(sql.raw(`set lock_timeout = ${LOCK_TIMEOUT_MS}`));
  try {
    // An interrupted attempt leaves an invalid index behind.
    await session.execute(sql`drop index concurrently if exists reservations_caller`);
    await session.execute(sql`
      create index concurrently reservations_caller on reservations (caller)
      where status = 'held' and caller is not null`);
  } catch {
    // The next start tries again.
  } finally {
    await session.execute(sql`select set_config('lock_timeout', ${before}, false)`);
    await session.execute(sql`select pg_advisory_unlock(${ADVISORY_LOCKS.callerIndex})`);
  }
}
