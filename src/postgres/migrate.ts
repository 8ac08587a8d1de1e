import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { eq, sql } from "drizzle-orm";
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import { migrate } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import type { EventDraft } from "../catalogue/catalogue.ts";
import { ensureCallerIndex } from "./caller-index.ts";
import { ADVISORY_LOCKS, enterEpoch } from "./epoch.ts";
import { createEvent } from "./event-writes.ts";
import { events, secrets } from "./schema.ts";

const MIGRATIONS_FOLDER = join(import.meta.dir, "../../drizzle");

/** A rival that migrates at the same moment is waited for this long. */
const MIGRATION_TIMEOUT_MS = 60_000;

/** The event that an empty database begins with; the contract names its seats, `S-1` to `S-1000`, and their price. */
const DEMO: EventDraft = {
  name: "Grand Central Concert 2025",
  currency: "EUR",
  cancellable: false,
  status: "open",
  onSaleAtMs: null,
  offSaleAtMs: null,
  holdTtlSeconds: 600,
  holdLimitSeconds: 1800,
  reservationLimitSeats: 20,
  buyerLimitSeats: null,
  focalX: null,
  focalY: null,
  priceTiers: [{ name: "Standard", amountMinor: 15_000 }],
  sections: [
    {
      name: "Hall",
      layout: {
        kind: "assigned",
        rows: [..."ABCDEFGHIJKLMNOPQRST"].map((label) => ({ label, seatCount: 50 })),
        numbering: { perRow: false, start: 1, step: 1, prefix: "S-" },
        priceTier: 0,
        areas: [],
        x: 0,
        y: 0,
        seatSpacing: 1,
        rowSpacing: 1,
      },
    },
  ],
};

/** As many bits as the hash that is made with it. */
const TOKEN_SECRET_BYTES = 32;

/** Who this database is, and how many connections it can give; `id` keeps its Redis keys apart from others'. */
export interface DatabaseFacts {
  id: string;
  version: string;
  connectionLimit: number;
  /** What reservation tokens are signed with, by every process of this database. */
  tokenSecret: string;
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
    const existing = await database.select({ id: events.id }).from(events).limit(1);
    if (existing.length === 0) await createEvent(database, DEMO);
    const tokenSecret = await ensureTokenSecret(database);
    await database.execute(sql`select pg_advisory_unlock(${ADVISORY_LOCKS.migrations})`);
    await ensureCallerIndex(database);
    return { id: row.id, version: row.version, connectionLimit: row.connection_limit, tokenSecret };
  } finally {
    await client.end();
  }
}

/** Made once; under the lock of the migrations, so that all processes get the same. */
async function ensureTokenSecret(database: NodePgDatabase): Promise<string> {
  const value = randomBytes(TOKEN_SECRET_BYTES).toString("base64url");
  await database.insert(secrets).values({ name: "token", value }).onConflictDoNothing();
  const [found] = await database.select().from(secrets).where(eq(secrets.name, "token"));
  if (!found) throw new Error("the token secret was not inserted");
  return found.value;
}

/** Creates a database beside the one the URL names, unless it is there, and gives its URL. */
export async function ensureDatabase(url: string, name: string, connectTimeoutMs?: number): Promise<string> {
  const client = new pg.Client({
    connectionString: url,
    ...(connectTimeoutMs !== undefined && { connectionTimeoutMillis: connectTimeoutMs }),
  });
  await client.connect();
  try {
    const found = await client.query("select from pg_database where datname = $1", [name]);
    if (!found.rowCount) await client.query(`create database ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
  return Object.assign(new URL(url), { pathname: `/${name}` }).href;
}
