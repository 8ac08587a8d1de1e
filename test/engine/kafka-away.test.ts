import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { findKafka, type KafkaBroker, startKafka, topicEnds } from "../support/kafka.ts";
import { partOrSkip } from "../support/parts.ts";
import { createDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";
import { histogram, openSale, reserve, type Sale, seatsFrom } from "./buyers.ts";
import { type Engine, logLines, openEngine } from "./engines.ts";
import { expectPublished, readEvents, TOPIC } from "./events.ts";
import { type Facts, openFacts } from "./facts.ts";
import { readFigures } from "./figures.ts";

// Parts take seconds to start on a busy machine; what must be quick is measured. Bun keeps this for one file only.
setDefaultTimeout(60_000);

const found = await partOrSkip("kafka", findKafka);

const SEATS = 100_000;
/** Few: what is sold while a broker starts is read back and compared. */
const BUYERS = 3;
/** These are sold, given back and sold again, so that each has several events whose order can be seen. */
const RESOLD_SEATS = 30;
const ROUNDS = 4;
const WAIT = { deadlineMs: 40_000 };

describe.skipIf(!found)("an engine whose Kafka is away", () => {
  const stack = new AsyncDisposableStack();
  let kafka: KafkaBroker;
  let engine: Engine;
  let facts: Facts;
  const seats = seatsFrom(RESOLD_SEATS + 1, SEATS);

  beforeAll(async () => {
    const database = await createDatabase();
    stack.defer(database.drop);
    facts = await openFacts(stack, database.url);
    await facts.fill(SEATS, { cancellable: true });
    kafka = await startKafka();
    stack.defer(() => kafka.stop());
    await kafka.kill();
    engine = await openEngine(stack, { DATABASE_URL: database.url, KAFKA_BROKERS: kafka.brokers });
  });
  afterAll(() => stack.disposeAsync());

  const figures = () => readFigures(engine.url);
  const backlogOver = (rows: number) =>
    until(async () => ((await figures()).value("sentinel_ledger_backlog_rows") ?? 0) > rows, {
      ...WAIT,
      what: `the backlog is over ${rows} rows`,
    });
  const sellsOn = async (sale: Sale, count = 200) => {
    const before = sale.won();
    await until(() => sale.won() >= before + count, { ...WAIT, what: `${count} more seats are sold` });
  };
  const expectAllSold = async (sale: Sale) => {
    const answers = await sale.stop();
    expect(histogram(answers)).toEqual({ 201: answers.length });
  };
  /** What an operator's tool would do: one change, one version, one row, in the shape that every writer has. */
  const giveBack = (seatId: number) =>
    facts.query(
      `with freed as (
         update seats s set status = 'available', version = s.version + 1, reservation_id = null,
                last_epoch = (select max(epoch) from ledger_epochs), last_txid = pg_current_xact_id()
         from seats old where s.id = $1 and old.id = s.id
         returning s.id, s.version, s.event_id, s.last_epoch, old.reservation_id
       ), gone as (
         update reservations r set status = 'cancelled' from freed where r.id = freed.reservation_id
       )
       insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
       select last_epoch, id, version, event_id, 'CANCELLED', reservation_id from freed`,
      [seatId],
    );
  const expectEverythingPublished = async () => {
    await facts.allPublished(WAIT.deadlineMs);
    await facts.expectSound();
    const { length } = await facts.ledger();
    const events = await readEvents({ brokers: kafka.brokers }, { ...WAIT, atLeast: length });
    await expectPublished(facts, events);
    return events;
  };

  test("that was away at its start: it starts and sells, and publishes once Kafka is there, topic and all", async () => {
    const sale = openSale(engine.url, seats, BUYERS);
    await sellsOn(sale);
    await backlogOver(199);
    expect((await figures()).value("sentinel_component_up", { component: "kafka" })).toBe(0);
    expect((await fetch(`${engine.url}/health/ready`)).status).toBe(200);
    await expectAllSold(sale);

    await kafka.restart();
    await expectEverythingPublished();
    const ends = await topicEnds(kafka.brokers, TOPIC);
    expect([...ends.keys()].sort()).toEqual([0, 1, 2]);
    for (const end of ends.values()) expect(end).toBeGreaterThan(0);
    await until(async () => (await figures()).value("sentinel_component_up", { component: "kafka" }) === 1, {
      ...WAIT,
      what: "the metrics say that Kafka is up",
    });
  });

  test("killed in the middle of a sale: no buyer notices, the backlog grows, all is published when it is back, and the log has a line for each", async () => {
    const sale = openSale(engine.url, seats, BUYERS);
    const failures = async () => (await figures()).value("sentinel_publish_failures_total") ?? 0;
    const failuresBefore = await failures();
    const saidBefore = logLines(engine).length;
    await sellsOn(sale);
    await kafka.kill();
    const whileAway = sale.won();
    for (let round = 1; round <= ROUNDS; round++) {
      for (let seatId = 1; seatId <= RESOLD_SEATS; seatId++) {
        expect((await reserve(engine.url, seatId)).status).toBe(201);
        if (round < ROUNDS) await giveBack(seatId);
      }
    }
    await sellsOn(sale);
    await backlogOver(sale.won() - whileAway);
    expect((await figures()).value("sentinel_ledger_backlog_seconds")).toBeGreaterThan(0);

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
    await until(async () => (await figures()).value("sentinel_ledger_backlog_rows") === 0, {
      ...WAIT,
      what: "the backlog is gone",
    });
    // However often it was tried meanwhile, and it was.
    expect(await failures()).toBeGreaterThan(failuresBefore + 2);
    expect(
      logLines(engine)
        .slice(saidBefore)
        .map(({ level, msg }) => `${level} ${msg}`),
    ).toEqual([expect.stringMatching(/^40 .*sink is away/), expect.stringMatching(/^30 .*sink is back/)]);
  });

  test("hanging in the middle of a sale: no buyer notices, and all is published when it answers again", async () => {
    const sale = openSale(engine.url, seats, BUYERS);
    await sellsOn(sale);
    kafka.pause();
    try {
      await sellsOn(sale, 1000);
      await backlogOver(500);
    } finally {
      kafka.resume();
    }
    await sellsOn(sale);
    await expectAllSold(sale);
    await expectEverythingPublished();
  });
});
