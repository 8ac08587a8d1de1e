import { randomBytes } from "node:crypto";
import { eq, sql } from "drizzle-orm";
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import pg from "pg";
import { never } from "../runtime/assert.ts";
import type { EventDraft } from "../venue/catalogue.ts";
import { ensureCallerIndex } from "./caller-index.ts";
import { openUnpooled } from "./connect.ts";
import { ADVISORY_LOCKS, enterEpoch } from "./epoch.ts";
import { createEvent } from "./event-writes.ts";
import { causeMessageOf, codeOf, SQLSTATE } from "./faults.ts";
import { applyMigrations, MIGRATION_TIMEOUT_MS, readMigrationState } from "./migrations.ts";
import { refusePooledTransactions } from "./pooler.ts";
import { events, secrets } from "./schema.ts";
import { readServerFacts, type ServerFacts } from "./server-facts.ts";
import { UnusableDatabase } from "./unusable-database.ts";

/** The event of an empty database. The contract names its seats, `S-1` to `S-1000`, and their price. */
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

/** As many bits as the hash that uses it. */
const SECRET_BYTES = 32;

export interface DatabaseFacts extends ServerFacts {
  /** Signs reservation tokens; the same in every process of this database. */
  tokenSecret: string;
  /** Salts the hashes of callers' networks. */
  callerSalt: string;
  /** A line that an operator should see at the start. */
  notice?: string;
}

/**
 * Brings the schema up to date, enters the epoch and seeds an empty database. Several processes may call it
 * at once; an advisory lock makes them take turns. It writes nothing if there is nothing to do.
 * @throws {UnusableDatabase} if the engine cannot work with this database; another error if it cannot be
 * reached
 */
export async function prepareDatabase(databaseUrl: string, connectTimeoutMs: number): Promise<DatabaseFacts> {
  const open = () => openUnpooled({ databaseUrl, connectTimeoutMs, name: "sentinel-migrations" });
  const client = await open();
  try {
    const facts = await readServerFacts(client);
    await refusePooledTransactions(client, open);
    const database = drizzle(client);
    await database.execute(sql.raw(`set lock_timeout = ${MIGRATION_TIMEOUT_MS}`));
    await database.execute(sql`select pg_advisory_lock(${ADVISORY_LOCKS.migrations})`);
    const notice = await explained(facts, () => migrateWhereBehind(database));
    const prepared = await explained(facts, async () => {
      await enterEpoch(database);
      const existing = await database.select({ id: events.id }).from(events).limit(1);
      if (existing.length === 0) await createEvent(database, DEMO);
      const tokenSecret = await ensureSecret(database, "token");
      const callerSalt = await ensureSecret(database, "caller");
      return { ...facts, tokenSecret, callerSalt, ...(notice !== undefined && { notice }) };
    });
    await database.execute(sql`select pg_advisory_unlock(${ADVISORY_LOCKS.migrations})`);
    await ensureCallerIndex(database);
    return prepared;
  } finally {
    await client.end();
  }
}

/**
 * Applies missing migrations.
 * @returns a line for the operator, if there is something to say
 */
async function migrateWhereBehind(database: NodePgDatabase): Promise<string | undefined> {
  const state = await readMigrationState(database);
  switch (state.kind) {
    case "current":
      return undefined;
    case "ahead":
      return `a newer version has migrated the database (${state.unknownCount} of its migrations are unknown here), which this version may keep using`;
    case "behind":
      await applyMigrations(database);
      return undefined;
    default:
      return never(state, "state of the migrations");
  }
}

/** Runs work and explains what to do if it fails for missing privileges, a read-only database or a lock. */
async function explained<Result>(facts: ServerFacts, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    switch (codeOf(error)) {
      case SQLSTATE.insufficientPrivilege:
        throw new UnusableDatabase(
          `does not give role "${facts.role}" the privileges it needs (${causeMessageOf(error)}): run the command "migrate --grant ${facts.role}" with the URL of the role that owns the tables (docs/operations/postgres.md)`,
          { cause: error },
        );
      case SQLSTATE.readOnlyTransaction:
        throw new UnusableDatabase(
          "is read-only and must first be migrated or seeded: make it writable (default_transaction_read_only)",
          { cause: error },
        );
      case SQLSTATE.lockNotAvailable:
        throw new UnusableDatabase(
          `could not be migrated within ${MIGRATION_TIMEOUT_MS / 1000} s, because other sessions lock its tables: end long transactions (pg_stat_activity) and start again`,
          { cause: error },
        );
      default:
        throw error;
    }
  }
}

/** Returns the secret, creating it if it is missing. The migrations' lock makes all processes get the same one. */
async function ensureSecret(database: NodePgDatabase, name: "token" | "caller"): Promise<string> {
  const find = () => database.select().from(secrets).where(eq(secrets.name, name));
  const [kept] = await find();
  if (kept) return kept.value;
  const value = randomBytes(SECRET_BYTES).toString("base64url");
  await database.insert(secrets).values({ name, value }).onConflictDoNothing();
  const [found] = await find();
  if (!found) throw new Error(`the secret ${name} was not inserted`);
  return found.value;
}

/** Creates a database beside the one of the URL, unless it exists, and returns its URL. */
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
