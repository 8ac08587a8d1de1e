import { afterEach, describe, expect, test } from "bun:test";
import { cp, readdir, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate } from "drizzle-orm/node-postgres/migrator";
import { Client } from "pg";
import drizzleConfig from "../../drizzle.config.ts";
import { ensureDatabase, prepareDatabase } from "../../src/postgres/migrate.ts";
import { grantsTo } from "../../src/postgres/privileges.ts";
import { createDatabase } from "../fixtures/postgres.ts";
import { tempDir } from "../fixtures/temp-dir.ts";
import { only } from "./sale.ts";

const ROOT = resolve(import.meta.dir, "../..");
const CONNECT_TIMEOUT_MS = 5000;

const closes: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

/** A database of the test's own, with a session that looks at it. */
async function open(content: "migrated" | "empty") {
  const database = await createDatabase(content);
  closes.push(database.drop);
  const client = new Client({ connectionString: database.url });
  await client.connect();
  closes.push(() => client.end());
  const rows = async (statement: string) => (await client.query(statement)).rows;
  return { url: database.url, rows, prepare: () => prepareDatabase(database.url, CONNECT_TIMEOUT_MS) };
}

const COUNTS = `select (select count(*)::int from events) as events, (select count(*)::int from seats) as seats,
  (select count(*)::int from ledger_epochs) as epochs`;

describe("the first start on an empty database", () => {
  test("puts the demo event on sale: S-1 to S-1000 with ids 1 to 1000 at 150.00, all free", async () => {
    const { rows, prepare } = await open("empty");
    await prepare();
    expect(await rows("select name from events")).toEqual([{ name: "Grand Central Concert 2025" }]);
    const seats = await rows(
      "select id::int, row_label, seat_number, price_minor, status, version, event_id::int from seats order by id",
    );
    expect(seats).toEqual(
      Array.from({ length: 1000 }, (_, index) => ({
        id: index + 1,
        row_label: "ABCDEFGHIJKLMNOPQRST"[Math.floor(index / 50)],
        seat_number: `S-${index + 1}`,
        price_minor: 15_000,
        status: "available",
        version: 0,
        event_id: 1,
      })),
    );
  });

  test("succeeds for several processes at once, and seeds once", async () => {
    const { rows, prepare } = await open("empty");
    const facts = await Promise.all([prepare(), prepare(), prepare()]);
    expect(new Set(facts.map(({ id }) => id)).size).toBe(1);
    expect(only(await rows(COUNTS))).toEqual({ events: 1, seats: 1000, epochs: 1 });
  });

  test("is not begun by a second start: nothing changes, and what was sold stays sold", async () => {
    const { rows, prepare } = await open("empty");
    await prepare();
    await rows(
      "update seats set status = 'reserved', version = 1, reservation_id = gen_random_uuid() where id = 2",
    );
    const everything =
      "select (select jsonb_agg(s order by id) from seats s) as seats, (select jsonb_agg(e) from events e) as events, (select jsonb_agg(l) from ledger_epochs l) as epochs";
    const before = await rows(everything);
    await prepare();
    expect(await rows(everything)).toEqual(before);
  });
});

test("the secret of reservation tokens is made once, at random, for all processes", async () => {
  const [one, other] = [await open("migrated"), await open("migrated")];
  const secrets = (await Promise.all([one.prepare(), one.prepare()])).map(({ tokenSecret }) => tokenSecret);
  expect(secrets[0]).toMatch(/^[\w-]{43}$/);
  expect(secrets[1]).toBe(secrets[0]);
  expect((await one.prepare()).tokenSecret).toBe(secrets[0] ?? "");
  expect((await other.prepare()).tokenSecret).not.toBe(secrets[0]);
});

describe("a start on a database in use", () => {
  test("never seeds over an event that is there, even one without seats", async () => {
    const { rows, prepare } = await open("migrated");
    await rows("insert into events (name, currency) values ('Ours', 'EUR')");
    await prepare();
    expect(only(await rows(COUNTS))).toEqual({ events: 1, seats: 0, epochs: 1 });
  });

  test("tells databases of one cluster apart, which keeps their Redis keys apart", async () => {
    const [one, other] = [await open("migrated"), await open("migrated")];
    expect((await one.prepare()).id).not.toBe((await other.prepare()).id);
  });

  test("tells how many connections there are to share out", async () => {
    const { rows, prepare } = await open("migrated");
    const { max } = only(await rows("select current_setting('max_connections')::int as max"));
    const { connectionLimit } = await prepare();
    expect(connectionLimit.connections).toBeLessThan(max);
    expect(connectionLimit.connections).toBeGreaterThan(max - 20);
    expect(connectionLimit.setBy).toContain("max_connections");
  });

  test("fails at once and says so when nobody may connect", async () => {
    const { url } = await open("migrated");
    const wrong = Object.assign(new URL(url), { password: "wrong" }).href;
    await expect(prepareDatabase(wrong, CONNECT_TIMEOUT_MS)).rejects.toThrow(
      "password authentication failed",
    );
  });
});

describe("a start on a database of the first version, without sections", () => {
  /** Migrated as far as that version, and seeded as it did. */
  const openFirst = async () => {
    const opened = await open("empty");
    const dir = await tempDir("first-migrations");
    closes.push(dir.remove);
    await cp(join(ROOT, "drizzle"), dir.path, { recursive: true });
    const journalPath = join(dir.path, "meta/_journal.json");
    const journal = await Bun.file(journalPath).json();
    await writeFile(journalPath, JSON.stringify({ ...journal, entries: journal.entries.slice(0, 2) }));
    const client = new Client({ connectionString: opened.url });
    await client.connect();
    await migrate(drizzle(client), { migrationsFolder: dir.path });
    await client.end();
    await opened.rows(`
      with event as (insert into events (name, currency) values ('Grand Central Concert 2025', 'EUR') returning id)
      insert into seats (event_id, seat_number, price_minor)
      select event.id, 'S-' || number, 15000 from event, generate_series(1, 1000) as number order by number`);
    return opened;
  };
  const CATALOGUE = `select
    (select jsonb_agg(to_jsonb(e) - 'created_at' - 'revision' order by id) from events e) as events,
    (select jsonb_agg(to_jsonb(x) order by id) from sections x) as sections,
    (select jsonb_agg(to_jsonb(s) - 'last_txid' order by id) from seats s) as seats`;

  test("gives the demo event the section, rows and price tier that a new one has", async () => {
    const [old, fresh] = [await openFirst(), await open("empty")];
    await old.prepare();
    await fresh.prepare();
    expect(only(await old.rows(CATALOGUE))).toEqual(only(await fresh.rows(CATALOGUE)));
  });

  test("keeps what was sold, and its reservation then knows its seat and price", async () => {
    const { rows, prepare } = await openFirst();
    const { id } = only(
      await rows(
        `with sold as (insert into reservations (id, status, seat_count) values (gen_random_uuid(), 'confirmed', 1) returning id)
         update seats set status = 'reserved', version = 1, reservation_id = sold.id from sold where seats.id = 7 returning sold.id`,
      ),
    );
    await prepare();
    expect(await rows("select id, seat_ids, prices_minor from reservations")).toEqual([
      { id, seat_ids: ["7"], prices_minor: [15_000] },
    ]);
    expect(await rows("select id::int, row_label, seat_number from seats where status = 'reserved'")).toEqual(
      [{ id: 7, row_label: "A", seat_number: "S-7" }],
    );
  });

  test("leaves events that are not the demo as they are, without sections", async () => {
    const { rows, prepare } = await openFirst();
    await rows(
      `with event as (insert into events (name, currency) values ('Ours', 'EUR') returning id)
       insert into seats (event_id, seat_number, price_minor)
       select event.id, 'B-' || number, 100 from event, generate_series(1, 1000) as number order by number`,
    );
    await prepare();
    expect(await rows("select event_id::int from sections")).toEqual([{ event_id: 1 }]);
    expect(
      await rows(
        "select count(*)::int as seats from seats where event_id = 2 and section_id is null and row_label is null",
      ),
    ).toEqual([{ seats: 1000 }]);
  });
});

test("the embedded database is made once and found again, with its odd name escaped", async () => {
  const { url } = await open("migrated");
  const name = `odd "name" ${crypto.randomUUID()}`;
  const made = await ensureDatabase(url, name);
  const client = new Client({ connectionString: made });
  await client.connect();
  expect((await client.query("select current_database() as name")).rows).toEqual([{ name }]);
  await client.end();
  expect(await ensureDatabase(url, name)).toBe(made);
  const cleaner = new Client({ connectionString: url });
  await cleaner.connect();
  await cleaner.query(`drop database ${cleaner.escapeIdentifier(name)}`);
  await cleaner.end();
});

test("the documented grants are those that the engine's role is given", async () => {
  const page = await Bun.file(join(ROOT, "docs/operations/postgres.md")).text();
  const documented = /<!-- grants -->\n```\n([\s\S]*?)\n```\n<!-- \/grants -->/.exec(page)?.[1];
  expect(documented?.split("\n")).toEqual(grantsTo("sentinel_engine").map((statement) => `${statement};`));
});

test("the schema in code and the migrations say the same: generating finds nothing to do", async () => {
  const dir = await tempDir("migrations");
  closes.push(dir.remove);
  await cp(join(ROOT, "drizzle"), join(dir.path, "drizzle"), { recursive: true });
  const before = (await readdir(join(dir.path, "drizzle"))).sort();
  const config = {
    dialect: "postgresql",
    schema: [drizzleConfig.schema].flat().map((file) => join(ROOT, file ?? "")),
    out: relative(ROOT, join(dir.path, "drizzle")),
  };
  await writeFile(join(dir.path, "drizzle.config.ts"), `export default ${JSON.stringify(config)};`);
  const generate = Bun.spawnSync(
    [process.execPath, "--bun", "drizzle-kit", "generate", `--config=${join(dir.path, "drizzle.config.ts")}`],
    { cwd: ROOT, stdout: "pipe", stderr: "pipe" },
  );
  const said = generate.stdout.toString() + generate.stderr.toString();
  expect(said).toContain("No schema changes");
  expect((await readdir(join(dir.path, "drizzle"))).sort()).toEqual(before);
});
