import { beforeAll, describe, expect, test } from "bun:test";
import { partOrSkip } from "../fixtures/parts.ts";
import { findPgBouncer, startPgBouncer } from "../fixtures/pgbouncer.ts";
import { createDatabase, type Database, openDatabase } from "../fixtures/postgres.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until, untilWithin } from "../fixtures/until.ts";
import { runEngine } from "./command.ts";
import { type Engine, logLines, openEngine } from "./engines.ts";
import { type Facts, openFacts } from "./facts.ts";
import { tillAt, tokenOf } from "./reservations.ts";

const pgbouncer = await partOrSkip("pgbouncer", findPgBouncer);

const PUBLISHED_DEADLINE_MS = 15_000;
const PASSWORD = "of-a-test";

/** A role's own settings, each of which has broken something or would. */
const HOSTILE_SETTINGS = {
  DateStyle: "German, DMY",
  IntervalStyle: "sql_standard",
  TimeZone: "Africa/Monrovia",
  bytea_output: "escape",
  standard_conforming_strings: "off",
  quote_all_identifiers: "on",
  array_nulls: "off",
  extra_float_digits: "-15",
  search_path: "app",
  default_transaction_isolation: "serializable",
  default_transaction_deferrable: "on",
  statement_timeout: "200ms",
  lock_timeout: "1ms",
  idle_in_transaction_session_timeout: "1ms",
  idle_session_timeout: "300ms",
  client_encoding: "LATIN1",
  synchronous_commit: "off",
};

const stack = useStack();
let database: Database;
let facts: Facts;
let dataDir: string;
const roles: string[] = [];

beforeAll(async () => {
  // Roles belong to the whole cluster: they go after the databases in which they own something.
  const cluster = await openDatabase(stack, "empty");
  const admin = await openFacts(stack, cluster.url);
  stack.defer(async () => {
    for (const role of roles) await admin.query(`drop role ${role}`);
  });
  database = await openDatabase(stack, "empty");
  dataDir = await openFolder(stack, "setups");
  facts = await openFacts(stack, database.url);
});

async function createRole(name: string): Promise<void> {
  await facts.query(`create role ${name} login password '${PASSWORD}'`);
  roles.push(name);
}

const nameOf = ({ url }: Database) => new URL(url).pathname.slice(1);
const urlAs = (role: string, url = database.url) =>
  Object.assign(new URL(url), { username: role, password: PASSWORD }).href;

/** What a start says that fails, without the name of the program. */
async function refusal(env: Record<string, string>, args: string[] = []): Promise<string> {
  const { exitCode, stderr } = await runEngine({ DATA_DIR: dataDir, ...env }, { args });
  expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/^sentinel: .+\n$/)]);
  return stderr.slice("sentinel: ".length);
}

describe("an engine whose role owns nothing and has settings of its own", () => {
  let engine: Engine;
  const post = { method: "POST" };

  beforeAll(async () => {
    await createRole("owner_role");
    await createRole("shop_role");
    await facts.query(`alter database ${nameOf(database)} owner to owner_role`);
    await facts.query("alter schema public owner to owner_role");
    // Another application's tables, which come first in the role's search path.
    await facts.query("create schema app authorization owner_role");
    await facts.query("create table app.seats (place text)");
    await facts.query("grant all on schema app to shop_role");
    for (const role of ["owner_role", "shop_role"])
      for (const [name, value] of Object.entries(HOSTILE_SETTINGS))
        await facts.query(`alter role ${role} in database ${nameOf(database)} set ${name} = '${value}'`);
  });

  test("is told in one line what it may not do, until the owner has migrated and granted", async () => {
    const told = await refusal({ DATABASE_URL: urlAs("shop_role") });
    expect(told).toMatch(
      /^DATABASE_URL: \S+ does not give role "shop_role" .*run the command "migrate --grant shop_role"/,
    );
    const migrated = await runEngine(
      { DATABASE_URL: urlAs("owner_role") },
      { args: ["migrate", "--grant", "shop_role"] },
    );
    expect([migrated.exitCode, migrated.stderr]).toEqual([0, expect.stringContaining("shop_role")]);
    engine = await openEngine(stack, {
      ...{ DATABASE_URL: urlAs("shop_role"), DATA_DIR: dataDir, REQUIRE_API_KEY: "false" },
    });
  });

  test("sells, holds, confirms, extends, releases and expires as any other", async () => {
    const till = tillAt(engine.url);
    expect((await till.send("POST", "/api/v1/bookings/reserve/2")).status).toBe(201);
    const kept = await till.hold(
      { seatIds: [3, 4], buyerId: "Jürgen 客" },
      { "idempotency-key": crypto.randomUUID() },
    );
    expect([kept.status, kept.body.total]).toEqual([201, { amountMinor: 30_000, currency: "EUR" }]);
    const token = tokenOf(kept.body);
    expect((await till.act("extend", kept.body, token)).status).toBe(200);
    expect((await till.act("confirm", kept.body, token)).status).toBe(200);
    const left = await till.hold({ seatIds: [5] });
    expect((await till.act("release", left.body, tokenOf(left.body))).status).toBe(200);
    expect((await till.show(kept.body, token)).body.status).toBe("CONFIRMED");
  });

  test("makes an event with times and a bold price, and shows it as it was made", async () => {
    const made = await runEngine(
      { DATABASE_URL: urlAs("shop_role"), DATA_DIR: dataDir },
      { args: ["keys", "create", "--role", "admin"] },
    );
    expect(made.exitCode).toBe(0);
    const headers = { "x-api-key": made.stdout.trim(), "content-type": "application/json" };
    const times = { onSaleAt: "2026-03-04T05:06:07.080Z", offSaleAt: "9999-12-31T23:59:59.999Z" };
    const answer = await fetch(`${engine.url}/api/v1/admin/events`, {
      ...{ ...post, headers },
      body: JSON.stringify({
        ...{ name: "客 \\ ' \"", currency: "IRR", ...times },
        priceTiers: [{ name: "One", amountMinor: 9_000_000_000 }],
        sections: [{ name: "A", kind: "assigned", rows: 1, seatsPerRow: 4 }],
      }),
    });
    expect(answer.status).toBe(201);
    const { eventId } = (await answer.json()) as { eventId: number };
    const shown = await (await fetch(`${engine.url}/api/v1/events/${eventId}`)).json();
    expect(shown).toMatchObject({ name: "客 \\ ' \"", ...times });
    const past = await fetch(`${engine.url}/api/v1/events/1/map?at=${new Date().toISOString()}`);
    expect(past.status).toBe(200);
    const history = (await (await fetch(`${engine.url}/api/v1/seats/2/history`)).json()) as {
      history: { at: string }[];
    };
    expect(Math.abs(Date.parse(history.history[0]?.at ?? "") - Date.now())).toBeLessThan(60_000);
  });

  test("publishes, and its sale is proven", async () => {
    await facts.allPublished(PUBLISHED_DEADLINE_MS);
    const verified = await runEngine(
      { DATABASE_URL: urlAs("shop_role"), DATA_DIR: dataDir },
      { args: ["verify"] },
    );
    expect([verified.exitCode, verified.stdout]).toEqual([0, expect.stringMatching(/\nok, in/)]);
  });

  test("cannot change what was written to the ledger", async () => {
    const asShop = await openFacts(stack, urlAs("shop_role"));
    for (const statement of [
      "update public.seat_events set version = 9",
      "delete from public.admin_log",
      "truncate public.seats",
    ])
      await expect(asShop.query(statement)).rejects.toThrow("permission denied");
  });

  test("is not ready while a privilege is missing, says which, and is ready again with it", async () => {
    const status = async () => (await fetch(`${engine.url}/health/ready`)).status;
    await facts.query("revoke insert on public.reservations from shop_role");
    await untilWithin(5000, "it is not ready", async () => (await status()) === 503);
    expect(engine.output()).toContain("lost privileges: insert on reservations");
    await facts.query("grant insert on public.reservations to shop_role");
    await untilWithin(5000, "it is ready again", async () => (await status()) === 200);
  });
});

describe("a start ends with one line that says what to do where", () => {
  const settings = { RESERVATION_WORKERS: "1", BATCHES_PER_WORKER: "3" };

  test("the role or the database may have too few connections", async () => {
    await createRole("narrow_role");
    await facts.query(`grant owner_role to narrow_role`);
    await facts.query("alter role narrow_role connection limit 5");
    const ofRole = await refusal({ DATABASE_URL: urlAs("narrow_role"), ...settings });
    expect(ofRole).toMatch(
      /^RESERVATION_WORKERS: .* Postgres gives 5: .*raise the limit of the role \(alter role "narrow_role" connection limit 5\)\n$/,
    );
    await facts.query("alter role narrow_role connection limit 0");
    expect(await refusal({ DATABASE_URL: urlAs("narrow_role") })).toMatch(
      /too many connections for role .*raise that limit/,
    );
    await facts.query("alter role narrow_role connection limit -1");
    const other = await createDatabase("empty");
    await facts.query(`alter database ${nameOf(other)} owner to narrow_role`);
    await facts.query(`alter database ${nameOf(other)} connection limit 6`);
    const ofDatabase = await refusal({ DATABASE_URL: urlAs("narrow_role", other.url), ...settings }).finally(
      other.drop,
    );
    expect(ofDatabase).toMatch(
      /Postgres gives 6: .*raise the limit of the database \(alter database "test_\w+"/,
    );
  });

  test.each(["LATIN1", "SQL_ASCII"])("the database's encoding is %s", async (encoding) => {
    const name = `encoded_${encoding.toLowerCase()}`;
    await facts.query(
      `create database ${name} encoding '${encoding}' locale_provider 'libc' locale 'C' template template0`,
    );
    const url = Object.assign(new URL(database.url), { pathname: `/${name}` }).href;
    const told = await refusal({ DATABASE_URL: url }).finally(() => facts.query(`drop database ${name}`));
    expect(told).toMatch(new RegExp(`^DATABASE_URL: \\S+ has the encoding ${encoding}, .*encoding 'UTF8'`));
  });

  test("a newer version has migrated the database, unless that says that this one may go on", async () => {
    await using own = new AsyncDisposableStack();
    const newer = await openDatabase(own);
    const inside = await openFacts(own, newer.url);
    const madeMs = 4_000_000_000_000;
    await inside.query(
      "insert into drizzle.__drizzle_migrations (hash, created_at) values ('of a newer one', $1)",
      [madeMs],
    );
    const env = { DATABASE_URL: newer.url };
    const told = "was migrated by a newer version (1 of its migrations are unknown here)";
    expect(await refusal(env)).toContain(told);
    // A version that is newer still keeps it for itself.
    await inside.query("insert into schema_compatibility values (1, $1, $1)", [madeMs]);
    expect(await refusal(env)).toContain(told);
    await inside.query("update schema_compatibility set oldest_usable_migration_ms = 0");
    const engine = await openEngine(own, env);
    expect(engine.output()).toContain("a newer version has migrated the database");
  });

  test.skipIf(!pgbouncer).each(["transaction", "statement"] as const)(
    "PgBouncer lends a session for one %s only",
    async (poolMode) => {
      await using own = new AsyncDisposableStack();
      const { url } = await startPgBouncer(own, {
        ...{ program: pgbouncer ?? "", poolMode },
        url: database.url,
      });
      expect(await refusal({ DATABASE_URL: url })).toMatch(/^DATABASE_URL: .*pool_mode = session/);
    },
  );

  test.skipIf(!pgbouncer)("but it sells behind PgBouncer where each has a session of its own", async () => {
    await using own = new AsyncDisposableStack();
    const bouncer = await startPgBouncer(own, {
      ...{ program: pgbouncer ?? "", poolMode: "session" },
      url: database.url,
    });
    const engine = await openEngine(own, { DATABASE_URL: bouncer.url, ...settings });
    expect((await fetch(`${engine.url}/api/v1/bookings/reserve/20`, { method: "POST" })).status).toBe(201);
    await facts.allPublished(PUBLISHED_DEADLINE_MS);
    // Somebody switches it while the engine runs: one line says what is wrong, once.
    await bouncer.usePoolMode("transaction");
    const told = () => logLines(engine).filter(({ msg }) => msg.includes("set pool_mode = session"));
    await until("the log names the pooler's mode", async () => {
      await fetch(`${engine.url}/api/v1/seats?limit=1`);
      return told().length > 0;
    });
    expect(told()).toHaveLength(1);
  });

  test("it is read-only and has nothing in it yet; once it has, the engine starts and is not ready", async () => {
    await using own = new AsyncDisposableStack();
    const other = await openDatabase(own, "empty");
    const setReadOnly = (value: string) =>
      facts.query(`alter database ${nameOf(other)} set default_transaction_read_only = ${value}`);
    await setReadOnly("on");
    expect(await refusal({ DATABASE_URL: other.url })).toContain("is read-only and must first be migrated");
    await setReadOnly("off");
    expect((await runEngine({ DATABASE_URL: other.url }, { args: ["migrate"] })).exitCode).toBe(0);
  });
});
