import type pg from "pg";
import type * as adminSchema from "./admin-schema.ts";
import type * as compatibilitySchema from "./compatibility-schema.ts";
import type * as schema from "./schema.ts";
import type * as sinkSchema from "./sink-schema.ts";

type Privilege = "SELECT" | "INSERT" | "UPDATE" | "DELETE";

/** The names of the tables in a schema file. */
type TableOf<Schema> = {
  [Name in keyof Schema]: Schema[Name] extends { _: { brand: "Table"; name: infer Table } } ? Table : never;
}[keyof Schema];

/**
 * The privileges that an engine's role needs on each table, and no more: nobody changes or removes rows of
 * the ledger and its chain. A table that is missing here does not compile.
 */
const TABLE_PRIVILEGES: Record<
  (
    | TableOf<typeof schema>
    | TableOf<typeof adminSchema>
    | TableOf<typeof compatibilitySchema>
    | TableOf<typeof sinkSchema>
  ) &
    string,
  Privilege[]
> = {
  events: ["SELECT", "INSERT", "UPDATE"],
  sections: ["SELECT", "INSERT"],
  seats: ["SELECT", "INSERT", "UPDATE"],
  reservations: ["SELECT", "INSERT", "UPDATE"],
  idempotency_keys: ["SELECT", "INSERT", "UPDATE", "DELETE"],
  api_keys: ["SELECT", "INSERT", "UPDATE"],
  secrets: ["SELECT", "INSERT"],
  seat_events: ["SELECT", "INSERT"],
  ledger_epochs: ["SELECT", "INSERT"],
  ledger_cursors: ["SELECT", "INSERT", "UPDATE"],
  ledger_checkpoints: ["SELECT", "INSERT"],
  sink_states: ["SELECT", "INSERT", "UPDATE"],
  schema_compatibility: ["SELECT"],
  admin_log: ["SELECT", "INSERT"],
  denials: ["SELECT", "INSERT", "UPDATE"],
};

/**
 * The privileges on sequences. Seat ids are taken as unbroken ranges, a change of the catalogue takes the
 * next revision, and an administrator's act takes its id from the ledger.
 */
const SEQUENCE_PRIVILEGES = {
  seats_id_seq: "USAGE, SELECT, UPDATE",
  catalogue_revision: "USAGE",
  seat_events_id_seq: "USAGE",
} as const;

type Table = keyof typeof TABLE_PRIVILEGES;

/** The privileges that a sale needs, which the probe checks. */
export const SALE_PRIVILEGES: [table: Table, privilege: Privilege][] = [
  ["events", "SELECT"],
  ["ledger_epochs", "SELECT"],
  ["seats", "SELECT"],
  ["seats", "UPDATE"],
  ["reservations", "SELECT"],
  ["reservations", "INSERT"],
  ["reservations", "UPDATE"],
  ["seat_events", "SELECT"],
  ["seat_events", "INSERT"],
  ["idempotency_keys", "SELECT"],
  ["idempotency_keys", "INSERT"],
  ["idempotency_keys", "UPDATE"],
];

/**
 * Returns the statements that grant a role what an engine needs. The owner of the tables runs them after each
 * migration.
 */
export function grantsTo(role: string, tablesIn = "public"): string[] {
  const [to, at] = [quoted(role), quoted(tablesIn)];
  const schemas = [...new Set(["public", tablesIn, "drizzle"])].map(quoted).join(", ");
  return [
    `GRANT USAGE ON SCHEMA ${schemas} TO ${to}`,
    `GRANT SELECT ON drizzle.__drizzle_migrations TO ${to}`,
    ...Object.entries(TABLE_PRIVILEGES).map(
      ([table, privileges]) => `GRANT ${privileges.join(", ")} ON ${at}.${table} TO ${to}`,
    ),
    ...Object.entries(SEQUENCE_PRIVILEGES).map(
      ([sequence, privileges]) => `GRANT ${privileges} ON SEQUENCE ${at}.${sequence} TO ${to}`,
    ),
    `GRANT EXECUTE ON FUNCTION ${at}.sentinel_lock_ledger() TO ${to}`,
  ];
}

const quoted = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

/** Grants a role what an engine needs, all or nothing. */
export async function grantPrivileges(client: pg.Client, role: string): Promise<void> {
  const { rows } = await client.query<{ schema: string }>(
    "select relnamespace::regnamespace::text as schema from pg_class where oid = 'seat_events'::regclass",
  );
  await client.query("begin");
  for (const statement of grantsTo(role, rows[0]?.schema)) await client.query(statement);
  await client.query("commit");
}
