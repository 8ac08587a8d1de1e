import type pg from "pg";

/** Where Postgres says so, in its warning's `routine`; its words come in the server's language. */
const WAIT_GIVEN_UP = "SyncRepWaitForLSN";

/**
 * Ends when the synchronous standbys have everything that this session could see. Inside a statement of its
 * own, whose time limit ends the wait: a plain commit waits without any, and a session that its client has
 * left goes on waiting. Nothing but a question where no standby is waited for.
 */
const AWAIT_STANDBYS = `do $$ begin
  if current_setting('synchronous_standby_names') <> '' then
    perform set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'sentinel', ''::text);
    commit;
  end if;
end $$`;

/** Sessions with a commit that was not waited for, and how often. */
const givenUp = new WeakMap<pg.ClientBase, number>();

/** From now on `commitsGivenUp` counts for this session. */
export function watchCommits(client: pg.ClientBase): void {
  givenUp.set(client, 0);
  client.on("notice", ({ routine }) => {
    if (routine === WAIT_GIVEN_UP) givenUp.set(client, commitsGivenUp(client) + 1);
  });
}

/**
 * Commits of this session whose wait for the standbys somebody has ended (`pg_cancel_backend`). Postgres
 * answers them as every other, with a warning beside it, and a failover loses them: seen as seats that were
 * answered 201 and were free on the promoted standby.
 */
export function commitsGivenUp(client: pg.ClientBase): number {
  return givenUp.get(client) ?? 0;
}

/**
 * Whoever answers from what it has read, not from a commit of its own, waits for this afterwards: when a
 * wait for the standbys was ended, or Postgres has crashed in it, everybody sees what no standby has.
 * @throws when they do not have it in time.
 */
export async function awaitStandbys(client: pg.ClientBase): Promise<void> {
  const before = commitsGivenUp(client);
  await client.query(AWAIT_STANDBYS);
  if (commitsGivenUp(client) > before)
    throw new Error("what was committed is on no standby yet: a failover would lose it");
}

/** As `awaitStandbys`, on a connection of the pool. */
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
