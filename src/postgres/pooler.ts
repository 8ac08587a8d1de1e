import type pg from "pg";
import { codeOf } from "./faults.ts";
import { UnusableDatabase } from "./unusable-database.ts";

/** Other clients of a pooler may take the session we look for; one of these tries meets it then. */
const TRIES = 3;

/**
 * Finds out whether a pooler lends a session for one transaction only (PgBouncer's `pool_mode = transaction`): between
 * two statements of ours another client is given the same session, or we are given another one. The leader's advisory
 * locks, the prepared statements and the settings of a session would all be lost or somebody else's.
 * @param open gives a second connection, made as the first one.
 * @throws {UnusableDatabase} when it does.
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
        // A pooler of single statements takes no transaction at all.
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
  "gives every transaction another session (PgBouncer with pool_mode = transaction?), but the engine needs its own: set pool_mode = session for this database, or use the URL of Postgres itself (docs/operations/postgres.md)";

async function sessionOf(client: pg.Client): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  return rows[0]?.pid;
}
