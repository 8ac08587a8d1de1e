import { beforeAll, describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { histogram, openSale, reserve, reserveAtOnce, seatsFrom } from "../engine/buyers.ts";
import { type Engine, exitCodeOf, logLines, openEngine } from "../engine/engines.ts";
import { expectPublished, readEvents } from "../engine/events.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { freePort } from "../fixtures/free-port.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis } from "../fixtures/redis.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { useHouse } from "../fixtures/use-engine.ts";

// Row 13 of README.md: SIGTERM, step by step (under load of every kind: told-to-end-under-load.test.ts).

const redisFound = await partOrSkip("redis", findRedis);

const SEATS = 20_000;
const WAIT = { deadlineMs: 20_000 };
const SHUTDOWN_TIMEOUT_MS = 10_000;
const CROWD = 150;

describe("an engine that is told to end", () => {
  const house = useHouse({ seats: SEATS });
  const seats = seatsFrom(1, SEATS);
  const take = (count: number) => Array.from({ length: count }, () => seats.next().value ?? 0);

  const open = async (env: Record<string, string> = {}) => {
    const dataDir = await openFolder(house.stack, "shutdown");
    const engine = await house.open({ DATA_DIR: dataDir, ...env });
    return { engine, events: { file: join(dataDir, "booking-events.jsonl") } };
  };
  const ready = async ({ url }: Engine) => (await fetch(`${url}/health/ready`)).status;

  test("turns unready, answers what it has accepted, publishes all and ends with 0 in time", async () => {
    // Batches of 10, one at a time and slow, and an even slower publisher: at the signal most of the crowd
    // still waits, and when the last of it is answered most of the events do. The delay is over long before
    // that, so nothing hides an answer that is cut off.
    const { engine, events } = await open({
      ...{ RESERVATION_WORKERS: "1", BATCHES_PER_WORKER: "1", BATCH_LIMIT_SEATS: "10" },
      ...{ DRAIN_DELAY_MS: "300", SHUTDOWN_TIMEOUT_MS: String(SHUTDOWN_TIMEOUT_MS) },
    });
    await slowDown();
    let signalledAt: number;
    try {
      const crowd = await reserveAtOnce(take(CROWD).map((seatId) => ({ url: engine.url, seatId })));
      await until("all are accepted", async () => (await acceptedBy(engine)) >= CROWD - 10);
      signalledAt = performance.now();
      process.kill(engine.pid, "SIGTERM");
      await until("it is not ready", async () => (await ready(engine)) === 503);
      expect(histogram(await crowd.answers)).toEqual({ 201: CROWD });
      expect(await exitCodeOf(engine)).toBe(0);
    } finally {
      await speedUp();
    }
    expect(performance.now() - signalledAt).toBeLessThan(SHUTDOWN_TIMEOUT_MS);
    // Nothing is waited for: what is not in the file at the exit was left behind.
    const { length } = (await readFile(events.file, "utf8")).split("\n").slice(0, -1);
    expect(length).toBe((await house.facts.ledger()).length);
    await expectPublished(house.facts, await readEvents(events, { ...WAIT, atLeast: length }));
  });

  /** Seats that wait, and those that were sold: with a batch of 10 under way, all that were accepted but these 10. */
  const acceptedBy = async ({ url }: Engine) => {
    const { sum } = await readMetrics(url);
    return sum("sentinel_queue_seats") + sum("sentinel_reservations_total", { outcome: "won" });
  };
  const slowDown = async () => {
    await house.facts.query(
      `create function be_slow() returns trigger language plpgsql as
       $$ begin perform pg_sleep(tg_argv[0]::float8); return null; end $$`,
    );
    await house.facts.query(
      "create trigger be_slow after insert on seat_events for each statement execute function be_slow(0.1)",
    );
    await house.facts.query(
      "create trigger be_slow after update on ledger_cursors for each statement execute function be_slow(0.3)",
    );
  };
  const speedUp = () => house.facts.query("drop function if exists be_slow() cascade");

  test("in full flow breaks no connection whose request was sent before, and stays live to the end", async () => {
    const { engine, events } = await open({ DRAIN_DELAY_MS: "1500" });
    const sale = openSale(engine.url, seats, 48);
    await until("300 seats are sold", () => sale.won() >= 300);
    process.kill(engine.pid, "SIGTERM");
    await until("it is not ready", async () => (await ready(engine)) === 503);
    const answers = await sale.stop();
    expect((await fetch(`${engine.url}/health/live`)).status).toBe(200);
    const { 201: won = 0 } = histogram(answers);
    expect(won).toBe(answers.length);
    expect(await exitCodeOf(engine)).toBe(0);
    await house.facts.expectSound();
    const published = await readEvents(events, { ...WAIT, atLeast: won });
    await expectPublished(house.facts, published);
  });

  describe("while load balancers have not noticed", () => {
    let engine: Engine;
    let managementUrl: string;
    let signalledAt: number;

    beforeAll(async () => {
      const managementPort = String(await freePort());
      managementUrl = `http://127.0.0.1:${managementPort}`;
      ({ engine } = await open({
        ...{ DRAIN_DELAY_MS: "60000", SHUTDOWN_TIMEOUT_MS: "120000", MANAGEMENT_PORT: managementPort },
      }));
      signalledAt = performance.now();
      // Signals that follow within milliseconds are the same one.
      for (const signal of ["SIGTERM", "SIGINT", "SIGTERM"]) process.kill(engine.pid, signal);
      await until("it is not ready", async () => (await ready(engine)) === 503);
    });

    test("sells on, and says with every response on every port that it closes the connection", async () => {
      const [seatId = 0] = take(1);
      const won = await reserve(engine.url, seatId);
      expect([won.status, won.headers.get("connection")]).toEqual([201, "close"]);
      const again = await reserve(engine.url, seatId);
      expect([again.status, again.headers.get("connection")]).toEqual([409, "close"]);
      const others: [string, number][] = [
        [`${engine.url}/api/v1/events`, 200],
        [`${engine.url}/api/v1/seats/x`, 400],
        [`${engine.url}/no/such/route`, 404],
        [`${engine.url}/docs/swagger-ui.css`, 200],
        [`${engine.url}/health/ready`, 503],
        [`${managementUrl}/metrics`, 200],
        [`${managementUrl}/health/ready`, 503],
      ];
      for (const [address, status] of others) {
        const { socket, response } = await rawRequest(address, "GET");
        expect([address, response.split(" ")[1], /^connection: close\r$/im.test(response)]).toEqual([
          ...[address, String(status), true],
        ]);
        await until(`the connection for ${address} is closed`, () => socket.destroyed);
      }
    });

    test("ends at once when it is told again a second later, with a code that says so", async () => {
      await until("a second is over", () => performance.now() > signalledAt + 1000);
      process.kill(engine.pid, "SIGTERM");
      expect(await exitCodeOf(engine, 5000)).toBe(130);
    });
  });

  test("and cannot finish ends with 1 when SHUTDOWN_TIMEOUT_MS is over", async () => {
    const { engine } = await open({ DRAIN_DELAY_MS: "0", SHUTDOWN_TIMEOUT_MS: "500" });
    await house.facts.query("begin");
    try {
      await house.facts.query("lock table seat_events in access exclusive mode");
      const crowd = await reserveAtOnce([{ url: engine.url, seatId: take(1)[0] ?? 0 }]);
      await crowd.sent;
      process.kill(engine.pid, "SIGTERM");
      expect(await exitCodeOf(engine, 5000)).toBe(1);
      expect(engine.output()).toContain("SHUTDOWN_TIMEOUT_MS");
      await crowd.answers;
    } finally {
      await house.facts.query("rollback");
    }
  });
});

describe("the Postgres and Redis that an engine has embedded", () => {
  const stack = useStack();
  let dataDir: string;

  beforeAll(async () => {
    dataDir = await openFolder(stack, "embedded");
  });

  const ends: [string, (engine: Engine) => unknown][] = [
    ["told to end", (engine) => process.kill(engine.pid, "SIGTERM")],
    ["killed", (engine) => engine.kill()],
  ];
  for (const [how, end] of ends) {
    test(`are gone seconds after it was ${how}`, async () => {
      const engine = await openEngine(stack, { DATA_DIR: dataDir });
      const embedded = await embeddedProcesses(engine);
      expect(embedded).toHaveLength(redisFound ? 2 : 1);
      for (const pid of embedded) expect([pid, isAlive(pid)]).toEqual([pid, true]);
      await end(engine);
      await exitCodeOf(engine);
      await until("the embedded processes are gone", () => !embedded.some(isAlive));
    });
  }

  /** The ids as those processes tell them: of Postgres beside its data, of Redis by itself. */
  async function embeddedProcesses(engine: Engine): Promise<number[]> {
    const [postgres] = (await readFile(join(dataDir, "postgres/postmaster.pid"), "utf8")).split("\n");
    const ready = logLines(engine).find(({ msg }) => msg === "ready");
    const [, port] = /redis:\/\/127\.0\.0\.1:(\d+)/.exec(ready?.redis ?? "") ?? [];
    return [Number(postgres), ...(port ? [await redisProcess(Number(port))] : [])];
  }
});

/** One request on a connection of its own that asks for nothing special. */
async function rawRequest(address: string, method: string) {
  const { hostname, port, host, pathname } = new URL(address);
  const socket = connect(Number(port), hostname);
  let response = "";
  socket.on("data", (bytes) => {
    response += bytes.toString();
  });
  socket.write(`${method} ${pathname} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  await until(`a response to ${address}`, () => response.includes("\r\n\r\n"));
  return { socket, response };
}

function redisProcess(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("INFO server\r\n"));
    let answer = "";
    socket.on("data", (bytes) => {
      answer += bytes.toString();
      const [, pid] = /process_id:(\d+)\r\n/.exec(answer) ?? [];
      if (pid === undefined) return;
      socket.destroy();
      resolve(Number(pid));
    });
    socket.once("error", reject);
  });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
