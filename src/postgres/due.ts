import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { KEY_LIFETIME_HOURS } from "./guards.ts";

/**
 * A hold is swept up to a second after its end, each at a moment of its own: what was held in one instant
 * is not freed in one instant. The moment follows from the id's random end.
 */
const JITTER_MS = 1000;

/** Holds that are over and due, the oldest first. */
export async function readDueHolds(session: NodePgDatabase, limit: number): Promise<string[]> {
  const { rows } = await session.execute<{ id: string }>(sql`
    select id from reservations
    where status = 'held' and expires_at <= now()
      and expires_at + (('x' || right(id::text, 4))::bit(16)::int % ${JITTER_MS}) * interval '1 ms' <= now()
    order by expires_at limit ${limit}`);
  return rows.map(({ id }) => id);
}

/** Removes keys that no longer count, at most so many. */
export async function removeOldKeys(session: NodePgDatabase, limit: number): Promise<void> {
  await session.execute(sql`
    delete from idempotency_keys where ctid = any(array(
      select ctid from idempotency_keys
      where created_at <= now() - ${KEY_LIFETIME_HOURS} * interval '1 hour'
      order by created_at limit ${limit}))`);
}
