import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { createDatabase } from "../fixtures/postgres.ts";
import { until } from "../fixtures/until.ts";
import { bodyOf, histogram, openSale, reserve, reserveAtOnce, seatsFrom } from "./buyers.ts";
import { type Engine, logLines, openEngine } from "./engines.ts";
import { type Facts, openFacts } from "./facts.ts";
import { processesOf, scrape } from "./processes.ts";

// Parts take seconds to start on a busy machine; what must be quick is measured. Bun keeps this for one file only.
setDefaultTimeout(60_000);

const SEATS = 60_000;
const WAIT = { deadlineMs: 30_000 };
const WON = { outcome: "won" };

describe("an engine of two processes on one port", () => {
  const stack = new AsyncDisposableStack();
  let engine: Engine;
  let facts: Facts;
  const seats = seatsFrom(1, SEATS);
  const take = (count: number) => Array.from({ length: count }, () => seats.next().value ?? 0);

  beforeAll(async () => {
    const database = await createDatabase();
    stack.defer(database.drop);
    facts = await openFacts(stack, database.url);
    await facts.fill(SEATS);
    engine = await openEngine(stack, {
      ...{ DATABASE_URL: database.url, WEB_CONCURRENCY: "2", RATE_LIMIT_ADDRESS_REQUESTS: "0" },
    });
    await bothAnswer();
  });
  afterAll(() => stack.disposeAsync());

  const bothAnswer = () =>
    until(async () => (await scrape(engine.url)).value("sentinel_processes_answering") === 2, {
      ...WAIT,
      what: "both processes answer",
    });

  test("says so on its first screen, once", async () => {
    await until(() => logLines(engine).some(({ msg }) => msg === "ready"), { ...WAIT, what: "it is ready" });
    const ready = logLines(engine).filter(({ msg }) => msg === "ready");
    expect(ready).toEqual([expect.objectContaining({ url: engine.url, processes: 2 })]);
    expect((await processesOf(engine)).size).toBe(2);
  });

  test("shares its connections out to both", async () => {
    const open = async () => {
      const { value } = await scrape(engine.url);
      return ["1", "2"].map((process) => value("process_open_fds", { process }) ?? Number.NaN);
    };
    const before = await open();
    const sockets = await Promise.all(Array.from({ length: 200 }, () => connected(engine.url)));
    try {
      const grown = await until(
        async () => {
          const more = (await open()).map((count, index) => count - (before[index] ?? 0));
          return more.reduce((total, each) => total + each, 0) >= 190 && more;
        },
        { ...WAIT, what: "the connections are accepted" },
      );
      // The system chooses by the client's port: each gets about half.
      for (const each of grown) expect(each).toBeGreaterThan(40);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });

  test("sells a seat to one of 400 buyers who ask at once over as many connections", async () => {
    const [seatId = 0] = take(1);
    const crowd = await reserveAtOnce(Array.from({ length: 400 }, () => ({ url: engine.url, seatId })));
    const answers = await crowd.answers;
    expect(histogram(answers)).toEqual({ 201: 1, 409: 399 });
    const winner = answers.find(({ status }) => status === 201);
    expect(
      await facts.query("select version, status, reservation_id from seat_events where seat_id = $1", [
        seatId,
      ]),
    ).toEqual([{ version: 1, status: "RESERVED", reservation_id: winner && bodyOf(winner).reservationId }]);
    await facts.expectSound();
  });

  test("tells whoever scrapes any of them what both have counted", async () => {
    const before = await scrape(engine.url);
    const wanted = take(100);
    for (let time = 0; time < 3; time++) {
      const crowd = await reserveAtOnce(wanted.map((seatId) => ({ url: engine.url, seatId })));
      await crowd.answers;
    }
    for (let time = 0; time < 8; time++) {
      const after = await scrape(engine.url);
      const grown = (name: string, labels: Record<string, string> = {}) =>
        after.sum(name, labels) - before.sum(name, labels);
      expect(grown("sentinel_reservations_total")).toBe(300);
      expect(grown("sentinel_reservations_total", WON)).toBe(100);
      const route = "/api/v1/bookings/reserve/:seatId";
      expect(grown("sentinel_http_requests_total", { route, status: "201" })).toBe(100);
      expect(grown("sentinel_http_requests_total", { route, status: "409" })).toBe(200);
      expect(grown("sentinel_reservation_duration_seconds_count", WON)).toBe(100);
    }
  });

  test("has one publisher and one sweeper, and threads of each process apart", async () => {
    const { value, sum, series } = await until(
      async () => {
        const figures = await scrape(engine.url);
        const active = ["publisher", "sweeper"].map((name) => figures.value(`sentinel_${name}_active`));
        return active.every((count) => count === 1) && figures;
      },
      { ...WAIT, what: "one publishes and one sweeps" },
    );
    for (const thread of ["main", "reservation-1"]) {
      for (const process of ["1", "2"])
        expect(value("sentinel_thread_heap_used_bytes", { thread, process })).toBeGreaterThan(100_000);
    }
    expect(sum("sentinel_worker_threads", { pool: "publisher", state: "running" })).toBe(2);
    expect(value("sentinel_component_up", { component: "db" })).toBe(1);
    expect(new Set(series).size).toBe(series.length);
  });

  test("sells on while one of them is killed and comes back, and no counter goes back", async () => {
    const victim = (await processesOf(engine)).get(1) ?? 0;
    const counted: number[] = [];
    const count = async () => {
      const figures = await scrape(engine.url);
      counted.push(figures.sum("sentinel_reservations_total", WON));
      return figures;
    };
    const sale = openSale(engine.url, seats, 48);
    await until(async () => (await count()) && sale.won() >= 300, { ...WAIT, what: "300 seats are sold" });
    process.kill(victim, "SIGKILL");
    const { length: answeredBefore } = sale.answers;
    const back = await until(
      async () => {
        const figures = await count();
        const isBack = figures.value("sentinel_processes_answering") === 2;
        return isBack && figures.value("sentinel_process_restarts_total") === 1 && figures;
      },
      { ...WAIT, what: "it is replaced" },
    );
    const meanwhile = sale.answers.slice(answeredBefore).filter(({ status }) => status === 201);
    expect(meanwhile.length).toBeGreaterThan(50);
    // Those who were connected to it know that they were not answered; all others had their seat.
    const answers = await sale.stop();
    const { 0: cut = 0, ...others } = histogram(answers);
    expect(cut).toBeGreaterThan(0);
    expect(others).toEqual({ 201: answers.length - cut });

    await count();
    expect(counted).toEqual(counted.toSorted((a, b) => a - b));
    expect(back.value("sentinel_processes")).toBe(2);
    const now = await processesOf(engine);
    expect(now.size).toBe(2);
    expect(now.get(1)).not.toBe(victim);
    expect(logLines(engine)).toContainEqual(
      expect.objectContaining({ level: 50, process: 1, how: "SIGKILL" }),
    );
    await facts.allPublished(WAIT.deadlineMs);
    await facts.expectSound();
  });

  test("shows one that hangs: it is missing, its counters are not", async () => {
    await bothAnswer();
    const before = (await scrape(engine.url)).sum("sentinel_reservations_total");
    const hanging = (await processesOf(engine)).get(2) ?? 0;
    process.kill(hanging, "SIGSTOP");
    try {
      // A scrape that reaches the one that hangs is not answered; of several, some reach the other.
      const figures = await until(
        async () => {
          const read = await Promise.any(Array.from({ length: 6 }, () => scrape(engine.url)));
          return read.value("sentinel_processes_answering") === 1 && read;
        },
        { ...WAIT, what: "one is missing" },
      );
      expect(figures.value("sentinel_processes")).toBe(2);
      expect(figures.sum("sentinel_reservations_total")).toBe(before);
      expect(figures.value("process_start_time_seconds", { process: "2" })).toBeUndefined();
    } finally {
      process.kill(hanging, "SIGCONT");
    }
    await bothAnswer();
  });

  test("sells on while the primary hangs, and answers a scrape with 503 rather than with half of the figures", async () => {
    process.kill(engine.pid, "SIGSTOP");
    try {
      const [seatId = 0] = take(1);
      expect((await reserve(engine.url, seatId)).status).toBe(201);
      const { status, headers } = await fetch(`${engine.url}/metrics`);
      expect([status, headers.get("retry-after")]).toEqual([503, "1"]);
    } finally {
      process.kill(engine.pid, "SIGCONT");
    }
    await bothAnswer();
  });
});

function connected(url: string): Promise<Socket> {
  const { port, hostname } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => resolve(socket));
    socket.once("error", reject);
  });
}
