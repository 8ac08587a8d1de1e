import { describe, expect, test } from "bun:test";
import { type Asked, MetricsRound } from "../../src/engine/processes/metrics-round.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { createPrimaryMetrics } from "../../src/telemetry/primary-metrics.ts";
import { metricsIn } from "../engine/scraped-metrics.ts";
import { untilWithin } from "../fixtures/until.ts";

const ANSWER_TIMEOUT_MS = 50;

/** A process as the round sees it; what crosses to it is cloned, as between real ones. */
class Process implements Asked {
  readonly metrics = createMetrics();
  hangs = false;
  askedCount = 0;

  constructor(
    private readonly round: MetricsRound,
    readonly number: number,
  ) {
    this.metrics.processesAnswering.set(1);
    round.joined(this);
  }

  send(): void {
    this.askedCount++;
    if (!this.hangs) void this.answer();
  }

  async answer(): Promise<void> {
    this.round.heard(this, structuredClone(await this.metrics.registry.getMetricsAsJSON()));
  }
}

function open(count: number) {
  const primary = createPrimaryMetrics();
  const round = new MetricsRound(() => primary.registry.getMetricsAsJSON(), ANSWER_TIMEOUT_MS);
  const processes = Array.from({ length: count }, (_, index) => new Process(round, index + 1));
  const [one, two] = processes;
  if (!one || !two) throw new Error("at least two");
  return { round, primary, processes, one, two, read: async () => metricsIn(await round.read()) };
}

describe("the metrics of several processes", () => {
  test("are the sums of what they have counted, histograms included", async () => {
    const { one, two, read } = open(2);
    one.metrics.reservations.inc({ outcome: "won" }, 3);
    two.metrics.reservations.inc({ outcome: "won" }, 4);
    two.metrics.reservations.inc({ outcome: "reserved" }, 5);
    one.metrics.batchSeats.observe(1);
    two.metrics.batchSeats.observe(7);
    one.metrics.reservationDuration.observe("won", 0.002);
    two.metrics.reservationDuration.observe("won", 9);
    const { value } = await read();
    expect(value("sentinel_reservations_total", { outcome: "won" })).toBe(7);
    expect(value("sentinel_reservations_total", { outcome: "reserved" })).toBe(5);
    expect(value("sentinel_batch_seats_sum")).toBe(8);
    expect(value("sentinel_batch_seats_bucket", { le: "1" })).toBe(1);
    expect(value("sentinel_batch_seats_bucket", { le: "8" })).toBe(2);
    const name = "sentinel_reservation_duration_seconds_bucket";
    expect(value(name, { outcome: "won", le: "0.0025" })).toBe(1);
    expect(value(name, { outcome: "won", le: "+Inf" })).toBe(2);
  });

  test("have a label for the process on gauges with a limit of their own and on those of threads", async () => {
    const { one, two, read } = open(2);
    one.metrics.queueSeats.set(9);
    two.metrics.queueSeats.set(1);
    one.metrics.eventLoopLag.set({ thread: "main" }, 0.5);
    two.metrics.eventLoopLag.set({ thread: "main" }, 0.1);
    const { value, sum, series } = await read();
    expect(value("sentinel_queue_seats", { process: "1" })).toBe(9);
    expect(value("sentinel_queue_seats", { process: "2" })).toBe(1);
    expect(value("sentinel_event_loop_lag_seconds", { thread: "main", process: "1" })).toBe(0.5);
    expect(value("sentinel_event_loop_lag_seconds", { thread: "main", process: "2" })).toBe(0.1);
    for (const process of ["1", "2", "primary"]) {
      expect(value("process_resident_memory_bytes", { process })).toBeGreaterThan(1_000_000);
      expect(value("process_start_time_seconds", { process })).toBeGreaterThan(1e9);
    }
    expect(sum("sentinel_processes_answering")).toBe(2);
    expect(new Set(series).size).toBe(series.length);
  });

  test("put together what they know of the world as the alerts need it", async () => {
    const { one, two, read } = open(2);
    for (const { metrics } of [one, two]) metrics.publisherActive.set(0);
    one.metrics.publisherActive.set(1);
    one.metrics.componentUp.set({ component: "db" }, 1);
    two.metrics.componentUp.set({ component: "db" }, 0);
    one.metrics.feedUp.set(1);
    one.metrics.ledgerBacklogSeconds.set(40);
    const { value } = await read();
    expect(value("sentinel_publisher_active")).toBe(1);
    expect(value("sentinel_component_up", { component: "db" })).toBe(0);
    expect(value("sentinel_feed_up")).toBe(0);
    expect(value("sentinel_ledger_backlog_seconds")).toBe(40);
  });

  test("leave out one that hangs, though not what it had counted, and ask it once until it answers", async () => {
    const { one, two, read } = open(2);
    one.metrics.feedCatchUps.inc(3);
    two.metrics.feedCatchUps.inc(4);
    expect((await read()).value("sentinel_feed_catch_ups_total")).toBe(7);
    two.hangs = true;
    two.metrics.queueSeats.set(5);
    for (let round = 0; round < 3; round++) {
      const { value } = await read();
      expect(value("sentinel_feed_catch_ups_total")).toBe(7);
      expect(value("sentinel_processes_answering")).toBe(1);
      expect(value("sentinel_queue_seats", { process: "2" })).toBeUndefined();
    }
    expect([one.askedCount, two.askedCount]).toEqual([4, 2]);
    two.hangs = false;
    await two.answer();
    const { value } = await read();
    expect(value("sentinel_processes_answering")).toBe(2);
    expect(value("sentinel_queue_seats", { process: "2" })).toBe(5);
  });

  test("leave out one that could not read its own, and ask it again in the next round", async () => {
    const { round, one, two, read } = open(2);
    two.metrics.feedCatchUps.inc(4);
    await read();
    two.hangs = true;
    const asked = two.askedCount;
    const reading = read();
    await untilWithin(1000, "it is asked", () => two.askedCount > asked);
    round.heard(two, null);
    const { value } = await reading;
    expect(value("sentinel_processes_answering")).toBe(1);
    expect(value("sentinel_feed_catch_ups_total")).toBe(4);
    two.hangs = false;
    expect((await read()).value("sentinel_processes_answering")).toBe(2);
    expect(one.askedCount).toBe(3);
  });

  test("keep the counters of those that have ended, however many, and not their gauges", async () => {
    const { round, one, two, read } = open(2);
    two.metrics.reservations.inc({ outcome: "won" }, 1);
    let last = one;
    for (let restart = 1; restart <= 5; restart++) {
      last.metrics.reservations.inc({ outcome: "won" }, 10);
      last.metrics.changeStreams.set(7);
      expect((await read()).value("sentinel_reservations_total", { outcome: "won" })).toBe(10 * restart + 1);
      round.left(last);
      const { value } = await read();
      expect(value("sentinel_reservations_total", { outcome: "won" })).toBe(10 * restart + 1);
      expect(value("sentinel_change_streams")).toBe(0);
      expect(value("sentinel_queue_seats", { process: "1" })).toBeUndefined();
      last = new Process(round, 1);
    }
  });

  test("count one that ends right after its answer once, and wait for nobody who has ended", async () => {
    const { round, processes, one, two, read } = open(3);
    for (const { metrics } of processes) metrics.feedCatchUps.inc(10);
    await read();
    const three = processes[2];
    two.hangs = true;
    const reading = read();
    await one.answer();
    round.left(one);
    if (three) await three.answer();
    round.left(two);
    const { value } = await reading;
    expect(value("sentinel_feed_catch_ups_total")).toBe(30);
    expect(value("sentinel_processes_answering")).toBe(1);
  });

  test("are had by any number of askers in two rounds, each begun after it was asked for", async () => {
    const { one, round } = open(2);
    const first = round.read();
    const more = Array.from({ length: 50 }, () => round.read());
    one.metrics.feedCatchUps.inc(2);
    await first;
    for (const text of await Promise.all(more))
      expect(metricsIn(text).value("sentinel_feed_catch_ups_total")).toBe(2);
    expect(one.askedCount).toBe(2);
  });
});
