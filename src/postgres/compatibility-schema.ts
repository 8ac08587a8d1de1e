import { bigint, pgTable, smallint } from "drizzle-orm/pg-core";

/**
 * Which engines may use this database. A single row, written by whoever has migrated last; both are the time of a
 * migration (`when` in drizzle/meta/_journal.json), in ms since 1970.
 */
export const schemaCompatibility = pgTable("schema_compatibility", {
  id: smallint().primaryKey().default(1),
  /** The newest migration that this row speaks of. */
  newestMigrationMs: bigint("newest_migration_ms", { mode: "number" }).notNull(),
  /** An engine that knows this migration may go on using the database. */
  oldestUsableMigrationMs: bigint("oldest_usable_migration_ms", { mode: "number" }).notNull(),
});
