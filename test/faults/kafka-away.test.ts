import { beforeAll, describe, expect, test } from "bun:test";
import { histogram, openSale, reserve, type Sale, seatsFrom } from "../engine/buyers.ts";
import { type Engine, exitCodeOf, logLines } from "../engine/engines.ts";
import { expectPublished, readEvents, TOPIC } from "../engine/events.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { deleteTopic, findKafka, type KafkaBroker, topicEnds } from "../fixtures/kafka.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { until, untilWithin } from "../fixtures/until.ts";
import { useHouse } from "../fixtures/use-engine.ts";
import { sized } from "./sizes.ts";
import { giveBack } from "./truth.ts";

// Rows 7 and 13 of README.md: Kafka dead, hung, restarted, its topic deleted; an end while it hangs.

const found = await partOrSkip("kafka", findKafka);

const SEATS = sized(40_000, 1_000_000);
/** Few: what is sold while a broker starts is read back and compared. */
const BUYERS = 3;
const FULL_LOAD_BUYERS = sized(12, 48);
const OUTAGE_MS = sized(6000, 60_000);
const TOLD_AFTER_MS = 2000;
/** These are sold, given back and sold again, so that each has several events whose order can be seen. */
const RESOLD_SEATS = 30;
const ROUNDS = 4;
const WAIT = { deadlineMs: sized(40_000, 300_000) };
const READY_POLL_MS = 100;
const SHUTDOWN_TIMEOUT_MS = 10_000;

describe.skipIf(!found)("an engine whose Kafka is unavailable", () => {
  const house = useHouse({
    needs: ["kafka"],
    seats: SEATS,
    cancellable: true,
    prepare: async (opened) => {
      kafka = opened.kafka ?? expect.unreachable("skipped without Kafka");
      await kafka.kill();
    },
  });
  let kafka: KafkaBroker;
  let engine: Engine;
  const seats = seatsFrom(RESOLD_SEATS + 1, SEATS);

  beforeAll(async () => {
    engine = await house.open();
  });

  const metrics = () => readMetrics(engine.url);
  const backlogOver = (rows: number, { deadlineMs } = WAIT) =>
    untilWithin(
      deadlineMs,
      `the backlog is over ${rows} rows`,
      async () => ((await metrics()).value("sentinel_ledger_backlog_rows") ?? 0) > rows,
    );
  const sellsOn = async (sale: Sale, count = 200) => {
    const before = sale.won();
    await until(`${count} more seats are sold`, () => sale.won() >= before + count);
  };
  const expectAllSold = async (sale: Sale) => {
    const answers = await sale.stop();
    expect(histogram(answers)).toEqual({ 201: answers.length });
  };
  const expectEverythingPublished = async () => {
    await house.facts.allPublished(WAIT.deadlineMs);
    await house.facts.expectSound();
    const { length } = await house.facts.ledger();
    const events = await readEvents({ brokers: kafka.brokers }, { ...WAIT, atLeast: length });
    await expectPublished(house.facts, events);
    return events;
  };

  test("that was away at its start: it starts and sells, and publishes once Kafka is there, topic and all", async () => {
    const sale = openSale(engine.url, seats, BUYERS);
    await sellsOn(sale);
    await backlogOver(199);
    expect((await metrics()).value("sentinel_component_up", { component: "kafka" })).toBe(0);
    expect((await fetch(`${engine.url}/health/ready`)).status).toBe(200);
    await expectAllSold(sale);

    await kafka.restart();
    await expectEverythingPublished();
    const ends = await topicEnds(kafka.brokers, TOPIC);
    expect([...ends.keys()].sort()).toEqual([0, 1, 2]);
    for (const end of ends.values()) expect(end).toBeGreaterThan(0);
    await until(
      "the metrics say that Kafka is up",
      async () => (await metrics()).value("sentinel_component_up", { component: "kafka" }) === 1,
    );
  });

  test("killed in the middle of a sale: no buyer notices, the backlog grows, all is published when it is back, and the log has a line for each", async () => {
    const sale = openSale(engine.url, seats, BUYERS);
    const failures = async () => (await metrics()).value("sentinel_publish_failures_total") ?? 0;
    const failuresBefore = await failures();
    const saidBefore = logLines(engine).length;
    await sellsOn(sale);
    await kafka.kill();
    const whileAway = sale.won();
    for (let round = 1; round <= ROUNDS; round++) {
      for (let seatId = 1; seatId <= RESOLD_SEATS; seatId++) {
        expect((await reserve(engine.url, seatId)).status).toBe(201);
        if (round < ROUNDS) await giveBack(house.facts, [seatId]);
      }
    }
    await sellsOn(sale);
    await backlogOver(sale.won() - whileAway);
    expect((await metrics()).value("sentinel_ledger_backlog_seconds")).toBeGreaterThan(0);

    await kafka.restart();
    await sellsOn(sale);
    await expectAllSold(sale);
    const events = await expectEverythingPublished();
    for (let seatId = 1; seatId <= RESOLD_SEATS; seatId++) {
      const story = new Map(
        events
          .filter(({ value }) => value.seatId === seatId)
          .map(({ value }) => [value.version, value.status]),
      );
      expect([...story.values()].join()).toBe(
        "RESERVED,CANCELLED,RESERVED,CANCELLED,RESERVED,CANCELLED,RESERVED",
      );
    }
    await until(
      "the backlog is gone",
      async () => (await metrics()).value("sentinel_ledger_backlog_rows") === 0,
    );
    // However often it was tried meanwhile, and it was.
    expect(await failures()).toBeGreaterThan(failuresBefore + 2);
    expect(
      logLines(engine)
        .slice(saidBefore)
        .map(({ level, msg }) => `${level} ${msg}`)
        // A machine that starts a broker may well be late with Redis's answers.
        .filter((line) => line.includes("sink")),
    ).toEqual([
      expect.stringMatching(/^40 .*sink is unavailable/),
      expect.stringMatching(/^30 .*sink is available again/),
    ]);
  });

  /** Every answer of the readiness probe, after this call. */
  const watchReadiness = () => {
    const statuses = new Set<number>();
    let watching = true;
    const watch = async () => {
      while (watching) {
        statuses.add((await fetch(`${engine.url}/health/ready`)).status);
        await Bun.sleep(READY_POLL_MS);
      }
    };
    const watched = watch();
    return async () => {
      watching = false;
      await watched;
      return [...statuses];
    };
  };

  const hung = ["hung", () => kafka.pause(), async () => kafka.resume()] as const;
  const dead = ["dead", () => kafka.kill(), () => kafka.restart()] as const;
  // In a CI run the test above is enough of a broker that is dead.
  const outages = sized<(typeof hung | typeof dead)[]>([hung], [hung, dead]);
  for (const [how, begin, end] of outages) {
    test(`${how} for long under full load: no buyer notices, the gauges rise meanwhile and fall to 0 when all is published`, async () => {
      const sale = openSale(engine.url, seats, FULL_LOAD_BUYERS);
      const stopWatching = watchReadiness();
      await sellsOn(sale);
      const before = sale.won();
      await begin();
      const beganAt = performance.now();
      try {
        // Told before a send to a silent broker fails (5 s): a gauge that stands still tells nothing.
        await until("the gauges rise", () => performance.now() - beganAt > TOLD_AFTER_MS);
        await backlogOver((sale.won() - before) * 0.9, { deadlineMs: TOLD_AFTER_MS });
        expect((await metrics()).value("sentinel_ledger_backlog_seconds")).toBeGreaterThan(1);
        await until("the outage", () => performance.now() - beganAt > OUTAGE_MS);
        await sellsOn(sale);
      } finally {
        await end();
      }
      await sellsOn(sale);
      await expectAllSold(sale);
      expect(await stopWatching()).toEqual([200]);
      await expectEverythingPublished();
      await until("the gauges tell that nothing waits", async () => {
        const { value } = await metrics();
        return (
          value("sentinel_ledger_backlog_rows") === 0 &&
          value("sentinel_ledger_backlog_seconds") === 0 &&
          value("sentinel_component_up", { component: "kafka" }) === 1
        );
      });
    });
  }

  test("hung when it is told to end: every buyer is answered, it ends in time, and the next engine publishes the rest", async () => {
    const sale = openSale(engine.url, seats, BUYERS);
    await sellsOn(sale);
    kafka.pause();
    try {
      await sellsOn(sale);
      await backlogOver(100);
      const toldAt = performance.now();
      process.kill(engine.pid, "SIGTERM");
      // In the same turn: who asks now had begun before the signal.
      const answers = await sale.stop();
      const { 201: won = 0, 503: refused = 0 } = histogram(answers);
      expect(won + refused).toBe(answers.length);
      expect(await exitCodeOf(engine)).toBe(0);
      expect(performance.now() - toldAt).toBeLessThan(SHUTDOWN_TIMEOUT_MS);
    } finally {
      kafka.resume();
    }
    engine = await house.open();
    await expectEverythingPublished();
  });

  test("whose topic is deleted under way: no buyer notices, it is made again, and all that is sold then is in it", async () => {
    const sale = openSale(engine.url, seats, BUYERS);
    const stopWatching = watchReadiness();
    await sellsOn(sale);
    await deleteTopic(kafka.brokers, TOPIC);
    // Seats are asked for in this order: those after it, when the topic was gone.
    const { value: last = 0 } = seats.next();
    await sellsOn(sale, 500);
    await expectAllSold(sale);
    expect(await stopWatching()).toEqual([200]);
    await house.facts.allPublished(WAIT.deadlineMs);
    const after = sale.answers.filter(({ seatId }) => seatId > last);
    const events = await readEvents({ brokers: kafka.brokers }, { ...WAIT, atLeast: after.length });
    const published = new Set(events.map(({ headers }) => headers["ce_id"]));
    expect(after.filter(({ seatId }) => !published.has(`${seatId}:1`))).toEqual([]);
    expect([...(await topicEnds(kafka.brokers, TOPIC)).keys()].sort()).toEqual([0, 1, 2]);
  });
});
