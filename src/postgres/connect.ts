import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { enterEpoch } from "./epoch.ts";
import { isLost, Unsellable } from "./faults.ts";
import { enterPresence } from "./presence.ts";
import { pinSettings } from "./session-settings.ts";
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
  /** Longest wait for a lock; without it only the statement timeout limits the wait. */
  lockTimeoutMs?: number;
  /** False where losing the last commits in a crash is harmless: they need not wait for the disk. */
  durable?: boolean;
  /** True if the connection is useful for reads alone, so that it may lead to a database that is read-only now. */
  mayBeReadOnly?: boolean;
  /** For sessions that take seats: the number by which other engines see this process. */
  presence?: number;
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
    onConnect: async (client) => {
      await prepareConnection(client as pg.Client, options);
      if (options.presence !== undefined) await enterPresence(client, options.presence);
    },
  });
  pool.on("error", onIdleError);
  // A connection that breaks while somebody has it fails that one's query, and would end the whole thread
  // with an event that nobody listens to.
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}

/**
 * Runs work on a connection of the pool, which is closed if the work fails, so that the next one meets the server as it is
 * then. A connection that broke while it was idle says nothing about the server, so the work is tried once more.
 */
export async function onFresh<Result>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> {
  const run = async () => {
    const client = await pool.connect();
    try {
      const result = await work(client);
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
      const exported = await sameAs.query<{ id: string }>("select pg_export_snapshot() as id");
      await client.query(`set transaction snapshot ${client.escapeLiteral(exported.rows[0]?.id ?? "")}`);
    }
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

/** A session without time limits, for preparing a database that may still be empty. The caller ends it. */
export async function openUnpooled(
  options: Pick<PoolOptions, "databaseUrl" | "name" | "connectTimeoutMs">,
): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: options.databaseUrl,
    application_name: options.name,
    connectionTimeoutMillis: options.connectTimeoutMs,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query(
      `select ${pinSettings({ statement_timeout: "'0'", idle_in_transaction_session_timeout: "'0'" })}`,
    );
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
 * `synchronous_commit` is raised where it is too low, never lowered. The prepared statements keep one generic plan
 * by index: planning each batch took 0.8 ms of its 2.5 ms, and a plan made while the table was small (a sequential
 * scan) must not outlive its growth.
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
