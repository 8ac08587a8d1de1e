import { beforeAll, describe, expect, test } from "bun:test";
import { until } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import {
  type Answer,
  histogram,
  openSale,
  reserve,
  reserveAtOnce,
  reservePath,
  seatsFrom,
} from "./buyers.ts";
import { logLines } from "./engines.ts";
import { processesOf } from "./processes.ts";
import { readMetrics, type ScrapedMetrics } from "./scraped-metrics.ts";

const SEATS = 2000;
const THREADS = ["main", "publisher-1", "reservation-1"];

describe("the metrics of an engine after a little load", () => {
  const sale = useEngine({
    seats: SEATS,
    env: { RESERVATION_WORKERS: "1" },
    prepare: ({ facts }) =>
      facts.query(
        `update seats set status = 'held', version = 1, reservation_id = gen_random_uuid(), hold_expires_at = now() + '1 hour'
         where id = ${SEATS}`,
      ),
  });
  const answers: Answer[] = [];
  let metrics: ScrapedMetrics;

  beforeAll(async () => {
    // Memory refuses by itself only while the changes of other processes are heard.
    await until("the change feed is heard", async () => {
      const read = await readMetrics(sale.url);
      const hasRedis = read.value("sentinel_component_up", { component: "redis" }) !== undefined;
      return !hasRedis || read.value("sentinel_feed_up") === 1;
    });
    answers.push(...(await openSale(sale.url, seatsFrom(1, 300), 16).end()));
    for (const seatId of [...seatsFrom(1, 40), SEATS, SEATS + 1, 0, -1]) {
      answers.push(await reserve(sale.url, seatId));
    }
    const crowd = await reserveAtOnce(Array.from({ length: 60 }, () => ({ url: sale.url, seatId: 400 })));
    answers.push(...(await crowd.answers));
    // What threads and the publisher count reaches the main thread once a second.
    metrics = await until("every thread has reported and every sale is published", async () => {
      const read = await readMetrics(sale.url);
      const reported = THREADS.every(
        (thread) => read.value("sentinel_event_loop_lag_seconds", { thread }) !== undefined,
      );
      return reported && read.sum("sentinel_published_events_total") === won() && read;
    });
  });

  const won = () => histogram(answers)[201] ?? 0;

  test("count every request once by outcome, and nothing else", () => {
    expect(metrics.sum("sentinel_reservations_total")).toBe(answers.length);
    expect(metrics.value("sentinel_reservations_total", { outcome: "won" })).toBe(301);
    expect(metrics.value("sentinel_reservations_total", { outcome: "held" })).toBe(1);
    expect(metrics.value("sentinel_reservations_total", { outcome: "not_found" })).toBe(1);
    expect(metrics.value("sentinel_reservations_total", { outcome: "invalid" })).toBe(2);
  });

  test("count the same requests by status, as their buyers saw them", () => {
    const route = "/api/v1/bookings/reserve/:seatId";
    for (const [status, count] of Object.entries({ 503: 0, ...histogram(answers) })) {
      const counted = metrics.value("sentinel_http_requests_total", { route, method: "POST", status });
      expect([status, counted]).toEqual([status, count]);
    }
    expect(metrics.sum("sentinel_http_requests_total", { route })).toBe(answers.length);
  });

  test("count what memory answered, and what workers decided, in batches", () => {
    const hits = metrics.sum("sentinel_filter_hits_total");
    expect(metrics.value("sentinel_filter_hits_total", { reason: "reserved" })).toBeGreaterThanOrEqual(40);
    // A worker decided on whatever was no number and was not in memory.
    const decided = answers.length - hits - 2;
    expect(metrics.value("sentinel_batch_seats_sum")).toBe(decided);
    expect(metrics.sum("sentinel_reservation_duration_seconds_count")).toBe(decided);
    const batches = metrics.value("sentinel_batch_seats_count") ?? 0;
    expect(batches).toBeGreaterThan(0);
    expect(batches).toBeLessThanOrEqual(decided);
    expect(metrics.value("sentinel_batch_seats_bucket", { le: "+Inf" })).toBe(batches);
    for (const stage of ["queue", "lock", "transaction", "answer"]) {
      const counted = metrics.value("sentinel_reservation_stage_duration_seconds_count", { stage });
      expect([stage, counted]).toEqual([stage, batches]);
    }
  });

  test("say that every sale was published and nothing waits", async () => {
    expect(metrics.value("sentinel_published_events_total")).toBe(won());
    expect(metrics.value("sentinel_publisher_active")).toBe(1);
    await until(
      "the backlog is empty",
      async () => (await readMetrics(sale.url)).value("sentinel_ledger_backlog_rows") === 0,
    );
  });

  test("tell of each thread: main, reservation-1 and publisher-1", () => {
    for (const thread of THREADS) {
      expect(metrics.value("sentinel_thread_heap_used_bytes", { thread })).toBeGreaterThan(100_000);
      expect(metrics.value("sentinel_event_loop_lag_seconds", { thread })).toBeGreaterThanOrEqual(0);
    }
    expect(
      metrics.value("sentinel_db_pool_connections", { thread: "reservation-1", state: "total" }),
    ).toBeGreaterThan(0);
    expect(metrics.sum("sentinel_worker_threads", { pool: "reservation", state: "running" })).toBe(1);
    expect(metrics.sum("sentinel_worker_restarts_total")).toBe(0);
  });

  test("count one process, without a primary", async () => {
    expect([...(await processesOf(sale.engine))]).toEqual([]);
    expect(metrics.value("sentinel_processes")).toBe(1);
    expect(metrics.value("sentinel_processes_answering")).toBe(1);
    expect(metrics.value("sentinel_process_restarts_total")).toBe(0);
    expect(metrics.series.filter((each) => each.includes("process="))).toEqual([]);
    expect(logLines(sale.engine).find(({ msg }) => msg === "ready")).not.toHaveProperty("processes");
  });

  test("have no series for a seat: 500 more seats, and there are as many series as before", async () => {
    for (const seatId of seatsFrom(1001, 1500)) answers.push(await reserve(sale.url, seatId));
    for (const path of ["/a", "/b", "/api/v1/seats/6", reservePath("x"), reservePath("y")]) {
      await fetch(sale.url + path, { method: "POST" });
    }
    const before = await readMetrics(sale.url);
    for (const seatId of seatsFrom(501, 1000)) answers.push(await reserve(sale.url, seatId));
    for (const path of ["/d", "/e?f=1", "/api/v1/seats/7", reservePath("z")]) {
      await fetch(sale.url + path, { method: "POST" });
    }
    const after = await readMetrics(sale.url);
    expect(after.series.toSorted()).toEqual(before.series.toSorted());
  });
});
