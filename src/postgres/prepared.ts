import type { Query, SQL } from "drizzle-orm";
import { NodePgSession } from "drizzle-orm/node-postgres";
import { PgDialect } from "drizzle-orm/pg-core";
import type pg from "pg";

type Client = pg.Client | pg.PoolClient;

/** A statement is planned again at its 8th, 64th, 512th, ... use on a connection. */
const REPLAN_FACTOR = 8;

const dialect = new PgDialect();

/** A statement and the name it is prepared under on each connection. */
export interface Prepared {
  name: string;
  query: Query;
}

export const prepared = (name: string, statement: SQL): Prepared => ({
  name,
  query: dialect.sqlToQuery(statement),
});

const uses = new WeakMap<Client, Map<string, { count: number; replanAt: number }>>();

/**
 * Runs a statement that is prepared once per connection and keeps one generic plan. It is planned again from
 * time to time, because a plan made while a table was empty may read a whole index per batch
 * (docs/decisions/0012-generic-plans.md).
 */
export async function executePrepared<Row extends pg.QueryResultRow>(
  client: Client,
  { name, query }: Prepared,
  parameters: Record<string, unknown>,
): Promise<Row[]> {
  if (isDue(client, name)) await client.query("discard plans");
  const statement = new NodePgSession(client, dialect, undefined).prepareQuery(query, undefined, name, false);
  const result = (await statement.execute(parameters)) as pg.QueryResult<Row>;
  return result.rows;
}

function isDue(client: Client, name: string): boolean {
  const known = uses.get(client) ?? new Map<string, { count: number; replanAt: number }>();
  uses.set(client, known);
  const use = known.get(name) ?? { count: 0, replanAt: REPLAN_FACTOR };
  known.set(name, use);
  if (++use.count < use.replanAt) return false;
  use.replanAt *= REPLAN_FACTOR;
  return true;
}
