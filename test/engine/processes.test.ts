import { beforeAll, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { until } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import { bodyOf, histogram, openSale, reserve, reserveAtOnce, seatsFrom } from "./buyers.ts";
import { logLines } from "./engines.ts";
import { processesOf, scrape } from "./processes.ts";

const SEATS = 30_000;
const WAIT = { deadlineMs: 30_000 };
const WON = { outcome: "won" };

describe("an engine of two processes on one port", () => {
  const house = useEngine({
    seats: SEATS,
    env: { WEB_CONCURRENCY: "2", RATE_LIMIT_ADDRESS_REQUESTS: "0" },
  });
  const seats = seatsFrom(1, SEATS);
  const take = (count: number) => Array.from({ length: count }, () => seats.next().value ?? 0);
  beforeAll(() => bothAnswer());

  const bothAnswer = () =>
    until(
      "both processes answer",
      async () => (await scrape(house.url)).value("sentinel_processes_answering") === 2,
    );

  test("says so on its first screen, once", async () => {
    await until("it is ready", () => logLines(house.engine).some(({ msg }) => msg === "ready"));
    const ready = logLines(house.engine).filter(({ msg }) => msg === "ready");
    expect(ready).toEqual([expect.objectContaining({ url: house.url, processes: 2 })]);
    expect((await processesOf(house.engine)).size).toBe(2);
  });

  test("shares its connections out to both", async () => {
    const open = async () => {
      const { value } = await scrape(house.url);
      return ["1", "2"].map((process) => value("process_open_fds", { process }) ?? Number.NaN);
    };
    const before = await open();
    const sockets = await Promise.all(Array.from({ length: 200 }, () => connected(house.url)));
    try {
      const grown = await until("the connections are accepted", async () => {
        const more = (await open()).map((count, index) => count - (before[index] ?? 0));
        return more.reduce((total, each) => total + each, 0) >= 190 && more;
      });
      // The system chooses by the client's port: each gets about half.
      for (const each of grown) expect(each).toBeGreaterThan(40);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });

  test("sells a seat to one of 400 buyers who ask at once over as many connections", async () => {
    const [seatId = 0] = take(1);
    const crowd = await reserveAtOnce(Array.from({ length: 400 }, () => ({ url: house.url, seatId })));
    const answers = await crowd.answers;
    expect(histogram(answers)).toEqual({ 201: 1, 409: 399 });
    const winner = answers.find(({ status }) => status === 201);
    expect(
      await house.facts.query("select version, status, reservation_id from seat_events where seat_id = $1", [
        seatId,
      ]),
    ).toEqual([{ version: 1, status: "RESERVED", reservation_id: winner && bodyOf(winner).reservationId }]);
    await house.facts.expectSound();
  });

  test("shows a scrape of any of them what both have counted", async () => {
    const before = await scrape(house.url);
    const wanted = take(100);
    for (let time = 0; time < 3; time++) {
      const crowd = await reserveAtOnce(wanted.map((seatId) => ({ url: house.url, seatId })));
      await crowd.answers;
    }
    for (let time = 0; time < 8; time++) {
      const after = await scrape(house.url);
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
    const { value, sum, series } = await until("one publishes and one sweeps", async () => {
      const metrics = await scrape(house.url);
      const active = ["publisher", "sweeper"].map((name) => metrics.value(`sentinel_${name}_active`));
      return active.every((count) => count === 1) && metrics;
    });
    for (const thread of ["main", "reservation-1"]) {
      for (const process of ["1", "2"])
        expect(value("sentinel_thread_heap_used_bytes", { thread, process })).toBeGreaterThan(100_000);
    }
    expect(sum("sentinel_worker_threads", { pool: "publisher", state: "running" })).toBe(2);
    expect(value("sentinel_component_up", { component: "db" })).toBe(1);
    expect(new Set(series).size).toBe(series.length);
  });

  test("sells on while one of them is killed and comes back, and no counter goes back", async () => {
    const victim = (await processesOf(house.engine)).get(1) ?? 0;
    const counted: number[] = [];
    const count = async () => {
      const metrics = await scrape(house.url);
      counted.push(metrics.sum("sentinel_reservations_total", WON));
      return metrics;
    };
    const sale = openSale(house.url, seats, 48);
    await until("300 seats are sold", async () => (await count()) && sale.won() >= 300);
    process.kill(victim, "SIGKILL");
    const { length: answeredBefore } = sale.answers;
    const back = await until("it is replaced", async () => {
      const metrics = await count();
      const isBack = metrics.value("sentinel_processes_answering") === 2;
      return isBack && metrics.value("sentinel_process_restarts_total") === 1 && metrics;
    });
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
    const now = await processesOf(house.engine);
    expect(now.size).toBe(2);
    expect(now.get(1)).not.toBe(victim);
    expect(logLines(house.engine)).toContainEqual(
      expect.objectContaining({ level: 50, process: 1, how: "SIGKILL" }),
    );
    await house.facts.allPublished(WAIT.deadlineMs);
    await house.facts.expectSound();
  });

  test("shows one that hangs: it is missing, its counters are not", async () => {
    await bothAnswer();
    const before = (await scrape(house.url)).sum("sentinel_reservations_total");
    const hanging = (await processesOf(house.engine)).get(2) ?? 0;
    process.kill(hanging, "SIGSTOP");
    try {
      // A scrape that reaches the one that hangs is not answered; of several, some reach the other.
      const metrics = await until("one is missing", async () => {
        const read = await Promise.any(Array.from({ length: 6 }, () => scrape(house.url)));
        return read.value("sentinel_processes_answering") === 1 && read;
      });
      expect(metrics.value("sentinel_processes")).toBe(2);
      expect(metrics.sum("sentinel_reservations_total")).toBe(before);
      expect(metrics.value("process_start_time_seconds", { process: "2" })).toBeUndefined();
    } finally {
      process.kill(hanging, "SIGCONT");
    }
    await bothAnswer();
  });

  test("sells on while the primary hangs, and answers a scrape with 503 rather than with half of the metrics", async () => {
    process.kill(house.engine.pid, "SIGSTOP");
    try {
      const [seatId = 0] = take(1);
      expect((await reserve(house.url, seatId)).status).toBe(201);
      const { status, headers } = await fetch(`${house.url}/metrics`);
      expect([status, headers.get("retry-after")]).toEqual([503, "1"]);
    } finally {
      process.kill(house.engine.pid, "SIGCONT");
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
