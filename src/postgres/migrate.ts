import { join } from "node:path";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import { ADVISORY_LOCKS, enterEpoch } from "./epoch.ts";
import { events, seats } from "./schema.ts";

const MIGRATIONS_FOLDER = join(import.meta.dir, "../../drizzle");

/** A rival that migrates at the same moment is waited for this long. */
const MIGRATION_TIMEOUT_MS = 60_000;

/** The event that an empty database begins with; the contract names its seats. */
const DEMO = { name: "Grand Central Concert 2025", currency: "EUR", seatCount: 1000, priceMinor: 15_000 };

/** Who this database is, and how many connections it can give; `id` keeps its Redis keys apart from others'. */
export interface DatabaseFacts {
  id: string;
  version: string;
  connectionLimit: number;
}

/**
 * Brings the schema up to date, enters the epoch and seeds an empty database. Several processes may do
 * this at once: an advisory lock lets them pass one by one.
 * @throws when the database cannot be reached or is older than Postgres 15.
 */
export async function prepareDatabase(databaseUrl: string, connectTimeoutMs: number): Promise<DatabaseFacts> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: "sentinel-migrations",
  });
  client.on("error", () => undefined);
  await client.connect();
  try {
    const database = drizzle(client);
    const facts = await database.execute<{
      id: string;
      version: string;
      number: number;
      connection_limit: number;
    }>(sql`
      select system_identifier || '-' || (select oid from pg_database where datname = current_database()) as id,
             current_setting('server_version') as version, current_setting('server_version_num')::int as number,
             current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as connection_limit
      from pg_control_system()`);
    const [row] = facts.rows;
    if (!row || row.number < 150_000)
      throw new Error(`Postgres ${row?.version} is too old: 15 or newer is needed`);
    await database.execute(sql.raw(`set lock_timeout = ${MIGRATION_TIMEOUT_MS}`));
    await database.execute(sql`select pg_advisory_lock(${ADVISORY_LOCKS.migrations})`);
    await migrate(database, { migrationsFolder: MIGRATIONS_FOLDER });
    await enterEpoch(database);
    await database.transaction(async (tx) => {
      const existing = await tx.select({ id: events.id }).from(events).limit(1);
      if (existing.length > 0) return;
      const [event] = await tx
        .insert(events)
        .values({ name: DEMO.name, currency: DEMO.currency })
        .returning();
      if (!event) throw new Error("the demo event was not inserted");
      const numbers = Array.from({ length: DEMO.seatCount }, (_, index) => index + 1);
      await tx.insert(seats).values(
        numbers.map((number) => ({
          eventId: event.id,
          seatNumber: `S-${number}`,
          priceMinor: DEMO.priceMinor,
        })),
      );
    });
    return { id: row.id, version: row.version, connectionLimit: row.connection_limit };
  } finally {
    await client.end();
  }
}

/** Creates a database beside the one the URL names, unless it is there, and gives its URL. */
export async function ensureDatabase(url: string, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const found = await client.query("select from pg_database where datname = $1", [name]);
    if (!found.rowCount) await client.query(`create database ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
  return Object.assign(new URL(url), { pathname: `/${name}` }).href;
}
