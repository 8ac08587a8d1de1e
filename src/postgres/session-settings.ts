/**
 * Session settings that the engine's statements and parsers rely on. A role, a database or the server may
 * have other defaults (`alter role ... set`), so every connection pins these before its first use. They are
 * part of the statement that each new connection runs anyway, because PgBouncer refuses unknown startup
 * parameters.
 *
 * `default_transaction_read_only` is deliberately not pinned: hosting companies set it when a disk is full.
 */
const PINNED = {
  // node-postgres parses only ISO dates, and no zone offsets with seconds (local mean time, before 1900).
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  TimeZone: "UTC",
  bytea_output: "hex",
  extra_float_digits: "1",
  standard_conforming_strings: "on",
  quote_all_identifiers: "off",
  array_nulls: "on",
  transform_null_equals: "off",
  // Each statement must see what was committed before it; otherwise idempotency keys and limits leak.
  default_transaction_isolation: "read committed",
  default_transaction_deferrable: "off",
  client_min_messages: "warning",
  // The statement timeout limits every wait. A shorter lock timeout of the role would turn waits into errors.
  lock_timeout: "0",
  idle_session_timeout: "0",
} as const;

/**
 * The schema of the tables: `public`, unless an earlier version with another first schema in its search path
 * put them there. Their types are in `public` in any case.
 */
const SEARCH_PATH = `coalesce((
  select nullif(quote_ident(n.nspname), 'public') || ', public' from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.oid = coalesce(to_regclass('public.seat_events'), to_regclass('seat_events'))), 'public')`;

/** Exists in Postgres 17 and newer; an unknown setting would be an error. */
const TRANSACTION_TIMEOUT = `case when current_setting('server_version_num')::int >= 170000
  then set_config('transaction_timeout', '0', false) end`;

/**
 * Returns a select list that pins these settings and the caller's own for the session.
 * @param own values as SQL expressions, such as `'64MB'` or `$1`
 */
export function pinSettings(own: Record<string, string> = {}): string {
  const literals = Object.entries(PINNED)
    .filter(([name]) => !(name in own))
    .map(([name, value]): [string, string] => [name, `'${value}'`]);
  return [["search_path", SEARCH_PATH], ...literals, ...Object.entries(own)]
    .map(([name, value]) => `set_config('${name}', ${value}, false)`)
    .concat(TRANSACTION_TIMEOUT)
    .join(",\n       ");
}
