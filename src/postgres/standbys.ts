import type pg from "pg";

/** The `routine` of Postgres's warning that a wait was given up; its message is in the server's language. */
const WAIT_GIVEN_UP = "SyncRepWaitForLSN";

/**
 * Waits until the synchronous standbys have everything that this session could see. It is one statement, so
 * the statement timeout limits the wait: a plain commit waits without limit, and an abandoned session keeps
 * waiting. Without synchronous standbys it costs one round trip.
 */
const AWAIT_STANDBYS = `do $$ begin
  if current_setting('synchronous_standby_names') <> '' then
    perform set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'sentinel', ''::text);
    commit;
  end if;
end $$`;

/** The number of commits of each session whose wait was given up. */
const givenUp = new WeakMap<pg.ClientBase, number>();

/** Starts counting `commitsGivenUp` for this session. */
export function watchCommits(client: pg.ClientBase): void {
  givenUp.set(client, 0);
  client.on("notice", ({ routine }) => {
    if (routine === WAIT_GIVEN_UP) givenUp.set(client, commitsGivenUp(client) + 1);
  });
}

/**
 * Returns how many commits of this session did not reach the standbys, because somebody ended their wait
 * (`pg_cancel_backend`). Postgres reports them as committed, with a warning, and a failover loses them. Seats
 * were seen that were answered 201 and were free on the promoted standby.
 */
export function commitsGivenUp(client: pg.ClientBase): number {
  return givenUp.get(client) ?? 0;
}

/**
 * Call before responding from a read: visible rows may not be on any standby yet. That happens if somebody
 * ended a commit's wait for the standbys, or Postgres crashed during it.
 * @throws if the standbys do not have the rows in time
 */
export async function awaitStandbys(client: pg.ClientBase): Promise<void> {
  const before = commitsGivenUp(client);
  await client.query(AWAIT_STANDBYS);
  if (commitsGivenUp(client) > before)
    throw new Error("a commit is not on any standby yet: a failover would lose it");
}

/** Same as `awaitStandbys`, on a connection of the pool. */
export async function awaitStandbysOf(pool: pg.Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await awaitStandbys(client);
    client.release();
  } catch (error) {
    client.release(true);
    throw error;
  }
}
