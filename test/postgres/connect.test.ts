import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import pg from "pg";
import { openPool, openSession, type PoolOptions } from "../../src/postgres/connect.ts";
import { faultOf } from "../../src/postgres/faults.ts";
import { freePort } from "../fixtures/free-port.ts";
import { createDatabase, type Database } from "../fixtures/postgres.ts";
import { type Network, startProxy } from "../fixtures/proxy.ts";
import { until, within } from "../fixtures/until.ts";
import { only } from "./sale.ts";

const STATEMENT_TIMEOUT_MS = 300;
/** Beyond the server's limit and the client's own, on a busy machine. */
const AT_MOST_MS = 4000;

let database: Database;
beforeAll(async () => {
  database = await createDatabase();
});
const closes: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});
afterAll(() => database.drop());

const optionsOf = (databaseUrl = database.url): PoolOptions => ({
  databaseUrl,
  name: "test-connect",
  connectionLimit: 2,
  statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  connectTimeoutMs: 2000,
});

function pool(databaseUrl?: string): pg.Pool {
  const opened = openPool(optionsOf(databaseUrl), () => undefined);
  closes.push(() => opened.end());
  return opened;
}

async function setting(name: string): Promise<unknown> {
  const { rows } = await pool().query("select current_setting($1) as value", [name]);
  return only(rows as { value: unknown }[]).value;
}

/** With this value as the database's own default, which new sessions begin with. */
async function withDefault(name: string, value: string, look: () => Promise<void>): Promise<void> {
  const admin = pool();
  const databaseName = new URL(database.url).pathname.slice(1);
  await admin.query(`alter database ${databaseName} set ${name} = ${value}`);
  try {
    await look();
  } finally {
    await admin.query(`alter database ${databaseName} reset ${name}`);
  }
}

describe("a connection", () => {
  test.each([
    ["off", "on"],
    ["local", "on"],
    ["on", "on"],
    ["remote_write", "remote_write"],
    ["remote_apply", "remote_apply"],
  ])("commits durably: synchronous_commit %s becomes %s", async (given, used) => {
    await withDefault("synchronous_commit", given, async () => {
      expect(await setting("synchronous_commit")).toBe(used);
    });
  });

  test("of a session of its own commits durably too", async () => {
    await withDefault("synchronous_commit", "off", async () => {
      const { $client: session } = await openSession(optionsOf(), () => undefined);
      closes.push(() => session.end());
      expect((await session.query("show synchronous_commit")).rows).toEqual([{ synchronous_commit: "on" }]);
    });
  });

  test("of a session of its own ends when it asks nothing for long: its advisory lock is another's then", async () => {
    const { $client: session } = await openSession(optionsOf(), () => undefined);
    closes.push(() => session.end());
    expect((await session.query("show idle_session_timeout")).rows).toEqual([
      { idle_session_timeout: "10s" },
    ]);
  });

  test("shows the database's operator who it is", async () => {
    expect(await setting("application_name")).toBe("test-connect");
  });

  test("does not stay in a transaction that nobody goes on with", async () => {
    const client = await pool().connect();
    client.on("error", () => undefined);
    await client.query("begin");
    const admin = pool();
    const idle =
      "select from pg_stat_activity where state = 'idle in transaction' and datname = current_database()";
    expect((await admin.query(idle)).rowCount).toBe(1);
    await until("the idle transaction is ended", async () => (await admin.query(idle)).rowCount === 0);
    client.release(true);
  });

  test("is never opened beyond the limit", async () => {
    const limited = pool();
    const busy = [await limited.connect(), await limited.connect()];
    const third = limited.connect();
    third.then((client) => client.release()).catch(() => undefined);
    await until("the third waits", () => limited.waitingCount === 1);
    expect(limited.totalCount).toBe(2);
    for (const client of busy) client.release();
    await third;
  });

  test("is not kept by a session that could not be made ready", async () => {
    const broken = await createDatabase("empty");
    closes.push(broken.drop);
    await expect(openSession(optionsOf(broken.url), () => undefined)).rejects.toThrow();
    const admin = pool();
    const left = "select from pg_stat_activity where datname = $1";
    await until(
      "no connection is left",
      async () => (await admin.query(left, [new URL(broken.url).pathname.slice(1)])).rowCount === 0,
    );
  });

  test("that breaks while idle is replaced, and the process lives on", async () => {
    const used = pool();
    await used.query("select");
    await pool().query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test-connect' and pid <> pg_backend_pid() and datname = current_database()",
    );
    await until("the pool answers again", () => used.query("select"));
  });
});

describe("a failed statement", () => {
  const failure = (promise: Promise<unknown>): Promise<unknown> =>
    within(
      promise.then(
        () => "it did not fail",
        (error: unknown) => error,
      ),
      AT_MOST_MS,
      "the statement fails",
    );

  async function proxied(): Promise<{ proxy: Network; client: pg.PoolClient }> {
    const proxy = await startProxy(database.url);
    closes.push(proxy.stop);
    const client = await pool(proxy.url).connect();
    client.on("error", () => undefined);
    closes.push(async () => client.release(true));
    return { proxy, client };
  }

  test.each([
    ["a value out of range (22003)", "select 2147483648::int"],
    ["a division by zero, which is the tripwire (22012)", "select 1 / 0"],
    [
      "an id that exists (23505)",
      "insert into reservations (id, status, seat_count) select '018f3a5e-0000-7000-8000-000000000000', 'void', 0 from generate_series(1, 2)",
    ],
    [
      "a broken check (23514)",
      "insert into seats (event_id, seat_number, price_minor, version) values (1, 'x', 1, -1)",
    ],
  ])("was refused for itself: %s", async (_what, statement) => {
    expect(faultOf(await failure(pool().query(statement)))).toBe("refused");
  });

  test.each([
    ["it ran too long", "select pg_sleep(10)"],
    ["its table is not there", "select from nothing_of_the_kind"],
    ["it may not write", "do $$ begin set transaction read only; create table t (); end $$"],
  ])("changed nothing, for a reason of the server's: %s", async (_what, statement) => {
    expect(faultOf(await failure(pool().query(statement)))).toBe("away");
  });

  test("is told by its code, whatever language the server speaks", () => {
    const told = (code: string, severity: string) =>
      faultOf(Object.assign(new pg.DatabaseError("doppelter Schlüssel", 7, "error"), { code, severity }));
    expect(["23505", "57014", "57P01"].map((code) => told(code, "FEHLER")).join()).toBe(
      "refused,away,doubtful",
    );
  });

  test("is in doubt when its backend was terminated", async () => {
    const { client } = await proxied();
    const { rows } = await client.query("select pg_backend_pid() as pid");
    const failed = failure(client.query("select pg_sleep(0.25)"));
    await pool().query("select pg_terminate_backend($1)", [only(rows as { pid: number }[]).pid]);
    expect(faultOf(await failed)).toBe("doubtful");
  });

  test("is in doubt when the connection broke under it", async () => {
    const { proxy, client } = await proxied();
    const failed = failure(client.query("select pg_sleep(0.25)"));
    proxy.cut();
    expect(faultOf(await failed)).toBe("doubtful");
  });

  test("is in doubt when no answer came in time, and it did not wait much longer than the server would", async () => {
    const { proxy, client } = await proxied();
    proxy.hang();
    const beganAt = performance.now();
    expect(faultOf(await failure(client.query("select")))).toBe("doubtful");
    expect(performance.now() - beganAt).toBeLessThan(AT_MOST_MS / 2);
  });

  test("is in doubt for whatever else is no word of the server's", async () => {
    const refused = await failure(
      pool(`postgres://nobody@127.0.0.1:${await freePort()}/none`).query("select"),
    );
    for (const error of [refused, new Error("thread died"), "text", undefined]) {
      expect(faultOf(error)).toBe("doubtful");
    }
  });
});
