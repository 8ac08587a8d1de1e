import { join } from "node:path";
import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { migrate } from "drizzle-orm/node-postgres/migrator";
import journal from "../../drizzle/meta/_journal.json" with { type: "json" };
import { schemaCompatibility } from "./compatibility-schema.ts";
import { codeOf, SQLSTATE } from "./faults.ts";
import { rowsOf } from "./query.ts";
import { UnusableDatabase } from "./unusable-database.ts";

const MIGRATIONS_FOLDER = join(import.meta.dir, "../../drizzle");

/**
 * The oldest migration that an engine must know to use a database migrated by this version. Raise it to the
 * newest migration if an older engine would behave wrongly beside this one; additive migrations leave it as
 * it is (docs/operations/upgrades.md). Engines older than this migration do not check it.
 */
const OLDEST_USABLE_MIGRATION = "0008_large_prices";

/**
 * How long one attempt waits for a table's lock. All sales queue behind it, so without the limit a migration
 * that waits for a long reader (a dump, `verify`) would stop the sale.
 */
const LOCK_TIMEOUT_MS = 300;
const RETRY_PAUSE_MS = 700;

/**
 * How long a migration tries to get its locks, and how long a second process waits for the migrations of the
 * first.
 */
export const MIGRATION_TIMEOUT_MS = 60_000;

/** A migration is identified by its creation time, in ms since 1970. */
const own = journal.entries.map(({ when }) => when);
const newestOwn = Math.max(...own);
const oldestUsable = journal.entries.find(({ tag }) => tag === OLDEST_USABLE_MIGRATION)?.when ?? newestOwn;

/** How the migrations of a database compare with those of this version. */
export type MigrationState =
  | { kind: "current" }
  /** Some of ours are not applied. */
  | { kind: "behind" }
  /** A newer version has migrated it and allows this version to keep using it. */
  | { kind: "ahead"; unknownCount: number };

/**
 * Reads which migrations were applied.
 * @throws {UnusableDatabase} if a newer version has migrated the database and this one must not use it
 */
export async function readMigrationState(database: NodePgDatabase): Promise<MigrationState> {
  const applied = await readApplied(database);
  const unknown = applied.filter((migration) => !own.includes(migration));
  const pending = own.filter((migration) => !applied.includes(migration));
  if (unknown.length === 0) return { kind: pending.length === 0 ? "current" : "behind" };
  if (pending.length === 0 && (await mayGoOn(database, Math.max(...unknown))))
    return { kind: "ahead", unknownCount: unknown.length };
  throw new UnusableDatabase(
    `was migrated by a newer version (${unknown.length} of its migrations are unknown here): start that version, or restore a backup from before its migrations`,
  );
}

/**
 * Applies the missing migrations while other engines sell: each attempt gives up its locks soon, and the next
 * follows a moment later.
 * @throws if they cannot be applied within a minute
 */
export async function applyMigrations(database: NodePgDatabase): Promise<void> {
  const deadline = Date.now() + MIGRATION_TIMEOUT_MS;
  const waitForLocks = (timeoutMs: number) => database.execute(sql.raw(`set lock_timeout = ${timeoutMs}`));
  await waitForLocks(LOCK_TIMEOUT_MS);
  for (;;) {
    try {
      await migrate(database, { migrationsFolder: MIGRATIONS_FOLDER });
      break;
    } catch (error) {
      const code = codeOf(error);
      const isLocked = code === SQLSTATE.lockNotAvailable || code === SQLSTATE.deadlockDetected;
      if (!isLocked || Date.now() > deadline) throw error;
      await Bun.sleep(RETRY_PAUSE_MS);
    }
  }
  await waitForLocks(MIGRATION_TIMEOUT_MS);
  const row = { newestMigrationMs: newestOwn, oldestUsableMigrationMs: oldestUsable };
  await database
    .insert(schemaCompatibility)
    .values(row)
    .onConflictDoUpdate({ target: schemaCompatibility.id, set: row });
}

async function readApplied(database: NodePgDatabase): Promise<number[]> {
  const known = sql`
    select from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'drizzle' and c.relname = '__drizzle_migrations'`;
  if ((await rowsOf(database, known)).length === 0) return [];
  const applied = sql`select created_at::float8 as "appliedMs" from drizzle.__drizzle_migrations order by created_at`;
  return (await rowsOf<{ appliedMs: number }>(database, applied)).map(({ appliedMs }) => appliedMs);
}

async function mayGoOn(database: NodePgDatabase, newestUnknown: number): Promise<boolean> {
  const [row] = await database.select().from(schemaCompatibility);
  return (
    row !== undefined && row.newestMigrationMs >= newestUnknown && row.oldestUsableMigrationMs <= newestOwn
  );
}
