import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import pg from "pg";
import { enterEpoch } from "./epoch.ts";
import { isLost, Unsellable } from "./faults.ts";
import { enterPresence } from "./presence.ts";
import { pinSettings } from "./session-settings.ts";
import { watchCommits } from "./standbys.ts";

/** Added to the server's statement limit, so that the server's clear error arrives first. */
const CLIENT_SLACK_MS = 500;

/**
 * Postgres ends a session that is idle for this long, which frees its advisory lock. Otherwise a leader that
 * hangs, or whose host disappeared, would stop all publishing until TCP keep-alive notices (2 hours by
 * default). A working leader sends something every second.
 */
const LEADER_IDLE_TIMEOUT_MS = 10_000;

/** Sorts a million rows in memory; more go to disk. */
const SNAPSHOT_WORK_MEM = "64MB";

/** A bounded pool and typed queries on it. */
export type Database = NodePgDatabase & { $client: pg.Pool };

/** One connection and typed queries on it. */
export type Session = NodePgDatabase & { $client: pg.Client };

export interface PoolOptions {
  databaseUrl: string;
  /** Shown to the database's operator as `application_name`. */
  name: string;
  connectionLimit: number;
  statementTimeoutMs: number;
  connectTimeoutMs: number;
  /** Longest wait for a lock. By default only the statement timeout limits it. */
  lockTimeoutMs?: number;
  /** False if losing the last commits in a crash is harmless; they then do not wait for the disk. */
  durable?: boolean;
  /** True if the connection only reads, so that a database that is read-only now will do. */
  mayBeReadOnly?: boolean;
  /** For sessions that take seats: the number by which other engines see this process. */
  presence?: number;
}

/**
 * Opens a bounded pool. Each connection is checked before its first use: it must lead to a primary, enter the
 * newest epoch, and make commits durable before they are answered.
 */
export function openPool(options: PoolOptions, onIdleError: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool({
    ...clientOptions(options),
    max: options.connectionLimit,
    idleTimeoutMillis: 0,
    onConnect: async (client) => {
      await prepareConnection(client as pg.Client, options);
      if (options.presence !== undefined) await enterPresence(client, options.presence);
    },
  });
  pool.on("error", onIdleError);
  // A broken connection fails its current query. Without a listener, its event would also end the whole thread.
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}

/** As `openPool`, with typed queries. */
export const openDatabase = (...options: Parameters<typeof openPool>): Database =>
  drizzle(openPool(...options));

/**
 * Runs work on a connection of the pool, and closes it if the work fails. The next connection then meets the
 * server as it is. If the connection may have broken while idle, which says nothing about the server, the
 * work runs once more.
 */
export async function onFresh<Result>(
  pool: pg.Pool,
  work: (client: pg.PoolClient, session: NodePgDatabase) => Promise<Result>,
): Promise<Result> {
  const run = async () => {
    const client = await pool.connect();
    try {
      const result = await work(client, drizzle(client));
      client.release();
      return result;
    } catch (error) {
      client.release(true);
      throw error;
    }
  };
  const hadIdle = pool.idleCount > 0;
  return run().catch((error: unknown) => {
    if (hadIdle && isLost(error)) return run();
    throw error;
  });
}

/** Opens a separate connection with the checks of a pool, for a session that holds an advisory lock. */
export async function openSession(
  options: Omit<PoolOptions, "connectionLimit">,
  onError: (error: Error) => void,
): Promise<Session> {
  const client = await connect(clientOptions(options), onError, async (client) => {
    await prepareConnection(client, options);
    await client.query("select set_config('idle_session_timeout', $1, false)", [
      String(LEADER_IDLE_TIMEOUT_MS),
    ]);
  });
  return drizzle(client);
}

/**
 * Opens a connection with one read-only transaction that sees a single moment; a standby will do. It delays
 * nobody: a reader has no transaction id for the ledger's horizon to wait for. The caller closes it.
 * @param sameAs an open snapshot; the new one sees the same moment
 */
export async function openSnapshot(
  options: Omit<PoolOptions, "connectionLimit" | "durable">,
  onError: (error: Error) => void,
  sameAs?: Session,
): Promise<Session> {
  const client = await connect(clientOptions(options), onError, async (client) => {
    await client.query(
      `select ${pinSettings({
        statement_timeout: "$1",
        idle_in_transaction_session_timeout: "$1",
        jit: "'off'",
        work_mem: `'${SNAPSHOT_WORK_MEM}'`,
      })}`,
      [String(options.statementTimeoutMs)],
    );
    await client.query("begin transaction isolation level repeatable read read only");
    if (sameAs) {
      const exported = await sameAs.$client.query<{ id: string }>("select pg_export_snapshot() as id");
      await client.query(`set transaction snapshot ${client.escapeLiteral(exported.rows[0]?.id ?? "")}`);
    }
  });
  return drizzle(client);
}

/** Opens a session without time limits, to prepare a database that may still be empty. The caller closes it. */
export const openUnpooled = (
  options: Pick<PoolOptions, "databaseUrl" | "name" | "connectTimeoutMs">,
): Promise<pg.Client> =>
  connect(
    addressOf(options),
    () => undefined,
    (client) =>
      client.query(
        `select ${pinSettings({ statement_timeout: "'0'", idle_in_transaction_session_timeout: "'0'" })}`,
      ),
  );

/** Connects and prepares a client. If that fails, the client is closed. */
async function connect(
  config: pg.ClientConfig,
  onError: (error: Error) => void,
  prepare: (client: pg.Client) => Promise<unknown>,
): Promise<pg.Client> {
  const client = new pg.Client(config);
  client.on("error", onError);
  try {
    await client.connect();
    await prepare(client);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

const addressOf = (options: Pick<PoolOptions, "databaseUrl" | "name" | "connectTimeoutMs">) => ({
  connectionString: options.databaseUrl,
  application_name: options.name,
  connectionTimeoutMillis: options.connectTimeoutMs,
});

const clientOptions = (options: Omit<PoolOptions, "connectionLimit">): pg.ClientConfig => ({
  ...addressOf(options),
  keepAlive: true,
  query_timeout: options.statementTimeoutMs + CLIENT_SLACK_MS,
});

/**
 * Checks and configures a new connection in one statement. `synchronous_commit` is raised if it is too low,
 * never lowered. Prepared statements keep one generic plan that uses indexes
 * (docs/decisions/0012-generic-plans.md).
 */
const PREPARE = `select pg_is_in_recovery() as standby, current_setting('transaction_read_only') = 'on' as "readOnly",
       ${pinSettings({
         statement_timeout: "$1",
         idle_in_transaction_session_timeout: "$1",
         lock_timeout: "$3",
         plan_cache_mode: "'force_generic_plan'",
         enable_seqscan: "'off'",
         synchronous_commit: `case
           when not $2 then 'off'
           when current_setting('synchronous_commit') in ('off', 'local') then 'on'
           else current_setting('synchronous_commit') end`,
       })}`;

async function prepareConnection(
  client: pg.Client,
  {
    statementTimeoutMs,
    durable = true,
    mayBeReadOnly = false,
    lockTimeoutMs = 0,
  }: Omit<PoolOptions, "connectionLimit">,
): Promise<void> {
  watchCommits(client);
  const { rows } = await client.query<{ standby: boolean; readOnly: boolean }>(PREPARE, [
    String(statementTimeoutMs),
    durable,
    String(lockTimeoutMs),
  ]);
  if (rows[0]?.standby) throw new Unsellable("this Postgres is a standby: writes are not possible here");
  if (rows[0]?.readOnly && !mayBeReadOnly)
    throw new Unsellable("this database is read-only: default_transaction_read_only is on");
  await enterEpoch(drizzle(client));
}
