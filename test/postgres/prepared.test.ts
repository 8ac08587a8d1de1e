import { expect, test } from "bun:test";
import type { PoolClient } from "pg";
import { commitChanges } from "../../src/postgres/change.ts";
import { commitReservations } from "../../src/postgres/reserve.ts";
import { changeOf } from "./reservations.ts";
import { useSale } from "./use-sale.ts";

/** Far above what a plan for an empty table is good for. */
const HOLDS = 5000;
/** The uses after which a plan must have been made again. */
const USES = 8;

const sale = useSale({ staysSound: false });

test("a statement that was planned while a table was known to be empty does not read all of it for each batch later", async () => {
  const client = await sale.session();
  await client.query("vacuum analyze reservations");
  await commitReservations(client, []);
  await commitChanges(client, []);
  await client.query(
    `insert into reservations (id, event_id, status, seat_count, expires_at)
     select gen_random_uuid(), 1, 'held', 1, now() + interval '1 hour' from generate_series(1, $1)`,
    [HOLDS],
  );
  for (let use = 1; use < USES; use++) await commitChanges(client, []);
  const before = await rowsRead(client);
  await commitChanges(client, [changeOf(Bun.randomUUIDv7(), "confirm")]);
  expect((await rowsRead(client)) - before).toBeLessThan(HOLDS);
});

/** Rows of reservations that this session's statements have fetched, as the server counts them. */
async function rowsRead(client: PoolClient): Promise<number> {
  await client.query("select pg_stat_force_next_flush()");
  const { rows } = await client.query<{ read: string }>(
    "select idx_tup_fetch + seq_tup_read as read from pg_stat_user_tables where relname = 'reservations'",
  );
  return Number(rows[0]?.read);
}
