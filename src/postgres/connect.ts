import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { enterEpoch } from "./epoch.ts";
import { watchCommits } from "./standbys.ts";

/** Beyond the server's own limit for a statement, so that the server's clear answer comes first. */
const CLIENT_SLACK_MS = 500;

/**
 * Postgres ends a session that asks nothing for so long, and its advisory lock is another's to take. Without it a
 * leader that hangs, or whose host is gone without a word, kept everybody from publishing until the system's TCP
 * keep-alive noticed (2 hours by default). A leader at work asks every second.
 */
const LEADER_IDLE_TIMEOUT_MS = 10_000;

/** A million rows are sorted in memory; what is more goes to disk. */
const SNAPSHOT_WORK_MEM = "64MB";

export interface PoolOptions {
  databaseUrl: string;
  /** Shown to the database's operator as `application_name`. */
  name: string;
  connectionLimit: number;
  statementTimeoutMs: number;
  connectTimeoutMs: number;
  /** False where losing the last commits in a crash is harmless: they need not wait for the disk. */
  durable?: boolean;
}

/**
 * A bounded pool whose every connection is checked before its first use: it must be a primary in the
 * newest epoch, and commits must be durable when they are answered.
 */
export function openPool(options: PoolOptions, onIdleError: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool({
    ...clientOptions(options),
    max: options.connectionLimit,
    idleTimeoutMillis: 0,
    onConnect: (client) => prepareConnection(client as pg.Client, options),
  });
  pool.on("error", onIdleError);
  // A connection that breaks while somebody has it fails that one's query, and would end the whole thread
  // with an event that nobody listens to.
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}

/** One connection of its own, checked like those of a pool; for sessions that hold an advisory lock. */
export async function openSession(
  options: Omit<PoolOptions, "connectionLimit">,
  onError: (error: Error) => void,
): Promise<pg.Client> {
  const client = new pg.Client(clientOptions(options));
  client.on("error", onError);
  try {
    await client.connect();
    await prepareConnection(client, options);
    await client.query("select set_config('idle_session_timeout', $1, false)", [
      String(LEADER_IDLE_TIMEOUT_MS),
    ]);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

/**
 * One connection in one transaction that sees a single moment and can write nothing, on a standby too. It holds
 * nobody up: a reader has no transaction id that the ledger's horizon would wait for. Whoever closes it ends it.
 * @param sameAs another one that is open: this one sees the same moment.
 */
export async function openSnapshot(
  options: Omit<PoolOptions, "connectionLimit" | "durable">,
  onError: (error: Error) => void,
  sameAs?: pg.Client,
): Promise<pg.Client> {
  const client = new pg.Client(clientOptions(options));
  client.on("error", onError);
  try {
    await client.connect();
    await client.query(
      `select set_config('statement_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $1, false),
              set_config('jit', 'off', false), set_config('work_mem', '${SNAPSHOT_WORK_MEM}', false)`,
      [String(options.statementTimeoutMs)],
    );
    await client.query("begin transaction isolation level repeatable read read only");
    if (sameAs) {
      const exported = await sameAs.query<{ id: string }>("select pg_export_snapshot() as id");
      await client.query(`set transaction snapshot ${client.escapeLiteral(exported.rows[0]?.id ?? "")}`);
    }
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

function clientOptions(options: Omit<PoolOptions, "connectionLimit">): pg.ClientConfig {
  return {
    connectionString: options.databaseUrl,
    application_name: options.name,
    keepAlive: true,
    connectionTimeoutMillis: options.connectTimeoutMs,
    query_timeout: options.statementTimeoutMs + CLIENT_SLACK_MS,
  };
}

/**
 * `synchronous_commit` is raised where it is too low, never lowered. Each statement sees what was committed
 * before it, whatever the database's default is: keys and limits leak otherwise. The prepared statements keep
 * one generic plan by index: planning each batch anew cost 0.8 ms of its 2.5 ms, and a plan made while the
 * table was small (a sequential scan) must not outlive its growth.
 */
async function prepareConnection(
  client: pg.Client,
  { statementTimeoutMs, durable = true }: Pick<PoolOptions, "statementTimeoutMs" | "durable">,
): Promise<void> {
  watchCommits(client);
  const found = await client.query<{ standby: boolean }>(
    `select pg_is_in_recovery() as standby,
            set_config('statement_timeout', $1, false),
            set_config('idle_in_transaction_session_timeout', $1, false),
            set_config('plan_cache_mode', 'force_generic_plan', false),
            set_config('default_transaction_isolation', 'read committed', false),
            set_config('enable_seqscan', 'off', false),
            set_config('client_min_messages', 'warning', false),
            set_config('synchronous_commit', case
              when not $2 then 'off'
              when current_setting('synchronous_commit') in ('off', 'local') then 'on'
              else current_setting('synchronous_commit') end, false)`,
    [String(statementTimeoutMs), durable],
  );
  if (found.rows[0]?.standby) throw new Error("this Postgres is a standby: writes are not possible here");
  await enterEpoch(drizzle(client));
}
