import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { reserve, seatsFrom } from "../engine/buyers.ts";
import { engineCommand, engineEnvironment } from "../engine/command.ts";
import { logLines } from "../engine/engines.ts";
import { startChild } from "../fixtures/child.ts";
import { until } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";

// Postgres runs and answers, and yet nothing can be sold; or it is only slow.

const ROOT = resolve(import.meta.dir, "../..");
const STOP_TIMEOUT_MS = 15_000;
/** What the engine promises, with what a busy machine adds. */
const KNOWN_AT_MOST_MS = 2000 + 1000;
const REFUSED_AT_MOST_MS = 250;
/** Well beyond the 2.5 s after which the probe has surely met it. */
const STOPPED_PROBE_MS = 4500;
const ASKED = 20;

describe("an engine whose Postgres answers", () => {
  const sale = useEngine({ env: { RESERVATION_WORKERS: "1" } });
  const seats = seatsFrom(1, 1000);
  const nextSeat = () => seats.next().value ?? 0;

  const status = async (path: string) => (await fetch(sale.url + path)).status;
  const isReady = async () => (await status("/health/ready")) === 200;
  const notReady = async () => {
    const beganAt = performance.now();
    await until("it is not ready", async () => !(await isReady()));
    return performance.now() - beganAt;
  };
  const sellsAgain = async () => {
    await until("it is ready again", isReady);
    expect((await reserve(sale.url, nextSeat())).status).toBe(201);
  };
  /** One after the other: each alone is quick. */
  const expectRefusedAtOnce = async (ask: () => Promise<number>) => {
    for (let asked = 0; asked < ASKED; asked++) {
      const beganAt = performance.now();
      expect(await ask()).toBe(503);
      expect(performance.now() - beganAt).toBeLessThan(REFUSED_AT_MOST_MS);
    }
  };
  const reserveOne = async () => (await reserve(sale.url, nextSeat())).status;
  const endSessions = (of: string) =>
    sale.facts.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name ${of}`,
    );

  test("while somebody keeps its seats locked: it knows within 2 s, then 503 at once, for readers too", async () => {
    const before = logLines(sale.engine).length;
    await sale.facts.query("begin");
    await sale.facts.query("lock table seats in access exclusive mode");
    try {
      expect(await notReady()).toBeLessThan(KNOWN_AT_MOST_MS);
      await expectRefusedAtOnce(reserveOne);
      await expectRefusedAtOnce(() => status("/api/v1/seats/1"));
    } finally {
      await sale.facts.query("rollback");
    }
    await sellsAgain();
    expect(logLines(sale.engine).slice(before)).toContainEqual(
      expect.objectContaining({
        msg: expect.stringContaining("the database is unavailable"),
        reason: "another session locks a table of the sale even for readers (pg_locks)",
      }),
    );
  });

  test("while a lock lets it read but not sell: it reads, and sells again afterwards", async () => {
    await sale.facts.query("begin");
    await sale.facts.query("lock table reservations in share mode");
    try {
      expect(await notReady()).toBeLessThan(KNOWN_AT_MOST_MS);
      await expectRefusedAtOnce(reserveOne);
      expect(await status("/api/v1/seats/1")).toBe(200);
    } finally {
      await sale.facts.query("rollback");
    }
    await sellsAgain();
  });

  test("but is read-only for new sessions, which only those that sell are: not ready, and it reads", async () => {
    await sale.facts.query(`alter database ${sale.databaseName} set default_transaction_read_only = on`);
    try {
      // The probe keeps its session, to which the database is as before.
      await endSessions("= 'sentinel-reservation'");
      await until("it is not ready", async () => (await reserveOne()) === 503 && !(await isReady()));
      await expectRefusedAtOnce(reserveOne);
      expect(await status("/api/v1/seats/1")).toBe(200);
      // A new start finds the same.
      const env = await engineEnvironment({ DATABASE_URL: sale.databaseUrl, DATA_DIR: sale.dataDir });
      const other = startChild("another engine", engineCommand, { cwd: ROOT, env });
      await until("a new start says why it does not sell", () =>
        other.output().includes("the database is read-only"),
      ).finally(() => other.end("SIGTERM", STOP_TIMEOUT_MS));
    } finally {
      await sale.facts.query(`alter database ${sale.databaseName} reset default_transaction_read_only`);
    }
    await sellsAgain();
  });

  test("though the probe's session hangs: nobody is refused, since sales are answered meanwhile", async () => {
    const pid = await until(
      "the probe has a session",
      async () =>
        (
          await sale.facts.query<{ pid: number }>(
            `select pid from pg_stat_activity where datname = current_database() and application_name = 'sentinel-probe'`,
          )
        )[0]?.pid,
    );
    process.kill(pid, "SIGSTOP");
    try {
      const endsAt = performance.now() + STOPPED_PROBE_MS;
      const answers: number[] = [];
      while (performance.now() < endsAt) {
        answers.push(await reserveOne(), await status("/health/ready"));
        await Bun.sleep(20);
      }
      expect(new Set(answers)).toEqual(new Set([201, 200]));
    } finally {
      process.kill(pid, "SIGCONT");
    }
  });

  test("whose sessions somebody ended one by one: that alone is no reason to refuse anybody", async () => {
    await endSessions("= 'sentinel-probe'");
    const refused = sale.engine.output().includes("the database is unavailable");
    await until(
      "the probe has a session again",
      async () =>
        (
          await sale.facts.query(
            "select from pg_stat_activity where datname = current_database() and application_name = 'sentinel-probe'",
          )
        ).length === 1,
    );
    expect(sale.engine.output().includes("the database is unavailable")).toBe(refused);
    expect(await isReady()).toBe(true);
  });
});
