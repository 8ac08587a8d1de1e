import { resolve } from "node:path";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate } from "drizzle-orm/node-postgres/migrator";
import { Client } from "pg";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/embedded/postgres.ts";
import { tempDir } from "./temp-dir.ts";

const MIGRATIONS = resolve(import.meta.dir, "../../drizzle");
const TEMPLATE = "template_migrated";

export interface Database {
  url: string;
  drop(): Promise<void>;
}

interface SharedPostgres {
  server: EmbeddedPostgres;
  stop(): Promise<void>;
}

let shared: Promise<SharedPostgres> | undefined;
let made = 0;

/**
 * A database of its own for a test file, on the one Postgres of this test process (started on first use).
 * `migrated`: every table, no row, cloned from a template; `empty`: nothing at all, as before a first start.
 */
export async function createDatabase(content: "migrated" | "empty" = "migrated"): Promise<Database> {
  shared ??= startShared();
  const { server } = await shared;
  const name = `test_${++made}`;
  const template = content === "migrated" ? TEMPLATE : "template1";
  await execute(server.url, `create database ${name} template ${template}`);
  return {
    url: databaseUrl(server.url, name),
    drop: () => execute(server.url, `drop database if exists ${name} with (force)`),
  };
}

/** Ends the Postgres of this test process; the next `createDatabase` would start another. */
export async function stopPostgres(): Promise<void> {
  const closing = shared;
  shared = undefined;
  await (await closing)?.stop();
}

async function startShared(): Promise<SharedPostgres> {
  const dir = await tempDir("postgres");
  try {
    const server = await startEmbeddedPostgres(dir.path);
    await execute(server.url, `create database ${TEMPLATE}`);
    const client = await connected(databaseUrl(server.url, TEMPLATE));
    try {
      await migrate(drizzle(client), { migrationsFolder: MIGRATIONS });
    } finally {
      await client.end();
    }
    return { server, stop: () => server.stop().finally(dir.remove) };
  } catch (error) {
    await dir.remove();
    throw error;
  }
}

async function execute(url: string, statement: string): Promise<void> {
  const client = await connected(url);
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function connected(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString });
  await client.connect();
  return client;
}

function databaseUrl(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}
