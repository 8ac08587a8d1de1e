import { beforeAll, expect, test } from "bun:test";
import { Client } from "pg";
import { scriptOf } from "../../bench/pgbench.ts";
import { openSeatsDatabase, type SeatsDatabase } from "../../bench/seats-database.ts";
import { type Database, openDatabase } from "../fixtures/postgres.ts";
import { useStack } from "../fixtures/stack.ts";

let beside: Database;
let database: SeatsDatabase;
const closes = useStack();

beforeAll(async () => {
  beside = await openDatabase(closes, "empty");
  database = await openSeatsDatabase(closes, beside.url, "bench_pgbench", 2_000);
});

test("pgbench's script is the engine's statement: it sells a batch of seats, each once", async () => {
  const [, , , ...lines] = scriptOf(8, 101, 3).split("\n");
  const statement = lines.join("\n").replaceAll(":first::", "101::").replaceAll(":last::", "108::");
  const client = new Client({ connectionString: database.url });
  await client.connect();
  try {
    // What it answers is the engine's affair; what it changes is looked up.
    await client.query(statement);
    await client.query(statement);
  } finally {
    await client.end();
  }
  expect(await database.reservedSeats(1, 2_000)).toBe(8);
  expect(await database.reservedSeats(101, 8)).toBe(8);
  expect(await database.ledgerRows()).toBe(8);
});

test("its clients walk over seats of their own", () => {
  expect(scriptOf(8, 101, 3)).toContain("\\set first 101 + (:batch * 3 + :client_id) * 8\n");
});
