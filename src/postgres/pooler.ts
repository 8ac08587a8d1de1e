import type pg from "pg";
import { codeOf } from "./faults.ts";
import { UnusableDatabase } from "./unusable-database.ts";

/** We try more than once, as another client of the pooler may take the session that we look for. */
const TRIES = 3;

/**
 * Detects a pooler that lends a session for one transaction only (PgBouncer's `pool_mode = transaction`).
 * Between two of our statements it gives the session to another client, or gives us another session. Advisory
 * locks, prepared statements and session settings would then be lost or belong to others.
 * @param open opens a second connection in the same way as the first
 * @throws {UnusableDatabase} if there is such a pooler
 */
export async function refusePooledTransactions(
  client: pg.Client,
  open: () => Promise<pg.Client>,
): Promise<void> {
  const other = await open();
  try {
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      const before = await sessionOf(client);
      await other.query("begin").catch((error: unknown) => {
        // With `pool_mode = statement` a pooler refuses every transaction.
        throw codeOf(error) === undefined ? error : new UnusableDatabase(REFUSAL);
      });
      const others = await sessionOf(other);
      const after = await sessionOf(client);
      await other.query("rollback");
      if (others === before || after !== before) throw new UnusableDatabase(REFUSAL);
    }
  } finally {
    await other.end().catch(() => undefined);
  }
}

const REFUSAL =
  "gives every transaction another session (PgBouncer with pool_mode = transaction?), but the engine needs its own sessions: set pool_mode = session for this database, or use the URL of Postgres itself (docs/operations/postgres.md)";

const sessions = new WeakMap<pg.ClientBase, number>();

/**
 * Returns whether a connection has another session than at the first call: a pooler was switched to
 * transaction mode while the engine ran.
 * @param session the session's current process id
 */
export function hasMoved(client: pg.ClientBase, session: number): boolean {
  const first = sessions.get(client) ?? session;
  sessions.set(client, first);
  return first !== session;
}

async function sessionOf(client: pg.Client): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  return rows[0]?.pid;
}
