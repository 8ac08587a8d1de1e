import { bigint, pgTable, smallint } from "drizzle-orm/pg-core";

/**
 * The engine versions that may use this database: one row, written by the last migration. Both columns are
 * the time of a migration (`when` in drizzle/meta/_journal.json), in ms since 1970.
 */
export const schemaCompatibility = pgTable("schema_compatibility", {
  id: smallint().primaryKey().default(1),
  /** The newest migration that this row takes into account. */
  newestMigrationMs: bigint("newest_migration_ms", { mode: "number" }).notNull(),
  /** An engine that knows this migration may keep using the database. */
  oldestUsableMigrationMs: bigint("oldest_usable_migration_ms", { mode: "number" }).notNull(),
});
