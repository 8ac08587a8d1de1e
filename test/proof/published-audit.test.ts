import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { Kafka, logLevel } from "kafkajs";
import { Relay } from "../../src/ledger/relay.ts";
import { openKafkaSink } from "../../src/ledger/sinks/kafka-sink.ts";
import type { EventSink } from "../../src/ledger/sinks/sink.ts";
import { openSession } from "../../src/postgres/connect.ts";
import { PublishedAudit } from "../../src/proof/audit/published-audit.ts";
import { createLog, type Logger } from "../../src/telemetry/log.ts";
import type { PublisherAudit } from "../../src/threads/messages.ts";
import { findKafka, type KafkaBroker, startKafka } from "../fixtures/kafka.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { until } from "../fixtures/until.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { type Ledger, openLedger } from "../ledger/ledger.ts";

const kafkaFound = await partOrSkip("kafka", findKafka);

const WINDOW_ROWS = 4;
const BROKER_TIMEOUT_MS = 60_000;

/** A log that keeps what it is told to warn of. */
function openLog() {
  const warnings: string[] = [];
  const log = { warn: (_: object, text: string) => void warnings.push(text), info: () => undefined };
  return { warnings, log: log as unknown as Logger };
}

describe("the audit of the sealed ledger", () => {
  const ledger = useOpened(openLedger, "test");
  beforeEach(async () => {
    const relay = ledger.openRelay("relay", { batchLimitRows: WINDOW_ROWS });
    for (let window = 0; window < 3; window++) {
      await ledger.sell(WINDOW_ROWS);
      await relay.round();
    }
    await relay.close();
  });

  /** An auditor that looks at every call, and the rows that it has hashed again in as many looks. */
  function openAudit({ intervalMs = 0, random = 0 } = {}) {
    const { log, warnings } = openLog();
    const audit = new PublishedAudit(log, intervalMs, () => random);
    const session = drizzle(ledger.sale.pool);
    const looks = async (count: number): Promise<PublisherAudit["ledger"]> => {
      const seen = { drift: 0, lookedAt: 0 };
      for (let look = 0; look < count; look++) {
        const { drift, lookedAt } = (await audit.look(session, undefined)).ledger;
        Object.assign(seen, { drift, lookedAt: seen.lookedAt + lookedAt });
      }
      return seen;
    };
    return { looks, warnings };
  }
  const rows = (statement: string) => ledger.sale.rows(statement);

  test("hashes several small windows a look, round and round, and finds nothing in a ledger that is as it was sealed", async () => {
    const { looks, warnings } = openAudit();
    expect(await looks(1)).toEqual({ drift: 0, lookedAt: 3 * WINDOW_ROWS });
    // After the last comes a look at none, which tells that the walk is through.
    expect(await looks(1)).toEqual({ drift: 0, lookedAt: 0 });
    expect(await looks(1)).toEqual({ drift: 0, lookedAt: 3 * WINDOW_ROWS });
    expect(warnings).toEqual([]);
  });

  test("begins at a random window, and comes round to those before it", async () => {
    const { looks } = openAudit({ random: 0.99 });
    expect((await looks(1)).lookedAt).toBe(WINDOW_ROWS);
    expect((await looks(2)).lookedAt).toBe(3 * WINDOW_ROWS);
    expect((await openAudit({ random: 0.34 }).looks(1)).lookedAt).toBe(2 * WINDOW_ROWS);
  });

  test("takes no more windows in a look when they have about a thousand rows", async () => {
    await rows(
      `insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
       select epoch, seat_id, 1 + n, event_id, status, reservation_id from seat_events, generate_series(1, 1500) n where id = 1`,
    );
    const relay = ledger.openRelay("large", { batchLimitRows: 500 });
    await until("all is sealed", async () => !(await relay.round()).more);
    const { looks } = openAudit();
    const counts = [];
    for (let look = 0; look < 3; look++) counts.push(await looks(1));
    // Three of four rows and two of 500, the last of 500, and none.
    expect(counts.map(({ lookedAt }) => lookedAt)).toEqual([1012, 500, 0]);
    expect(counts.map(({ drift }) => drift)).toEqual([0, 0, 0]);
  });

  test("takes at most a thousand windows in a look, whatever they say that they have", async () => {
    await rows(
      `insert into ledger_checkpoints (number, epoch, txid, id, row_count, rows_total, digest, row_digests)
       select number + n, epoch, txid, id, 0, rows_total, digest, '' from ledger_checkpoints, generate_series(1, 1500) n
       where number = 3`,
    );
    const { looks } = openAudit();
    const counts = [];
    for (let look = 0; look < 4; look++) counts.push((await looks(1)).lookedAt);
    expect(counts).toEqual([3 * WINDOW_ROWS, 0, 0, 3 * WINDOW_ROWS]);
  });

  test("keeps its interval, however often it is asked", async () => {
    expect((await openAudit({ intervalMs: 60_000 }).looks(5)).lookedAt).toBe(3 * WINDOW_ROWS);
  });

  test("finds each of several damaged windows, whatever was damaged before them", async () => {
    const { looks, warnings } = openAudit();
    await rows("update seat_events set occurred_at = occurred_at + interval '1 ms' where id in (2, 6, 10)");
    expect((await looks(3)).drift).toBe(3);
    expect(warnings.map((text) => text.match(/checkpoint \d/)?.[0])).toEqual([
      "checkpoint 1",
      "checkpoint 2",
      "checkpoint 3",
    ]);
  });

  test.each([
    [
      "a changed row",
      "update seat_events set occurred_at = occurred_at + interval '1 ms' where id = 6",
      "update seat_events set occurred_at = occurred_at - interval '1 ms' where id = 6",
      /^drift: of the 4 ledger rows of checkpoint 2, which ends at epoch 1, transaction \d+, id 8, one was changed/,
    ],
    [
      "a deleted row",
      "create table gone as select * from seat_events where id = 12; delete from seat_events where id = 12",
      "insert into seat_events overriding system value select * from gone",
      /^drift: of the 4 ledger rows of checkpoint 3/,
    ],
    [
      "a row that was added to a window",
      `insert into seat_events (id, epoch, txid, seat_id, version, event_id, status, reservation_id) overriding system value
       select 900, epoch, txid, seat_id, 2, event_id, 'CANCELLED', reservation_id from seat_events where id = 2`,
      "delete from seat_events where id = 900",
      /^drift: of the 4 ledger rows of checkpoint 1/,
    ],
    [
      "a checkpoint taken out",
      "create table gone as select * from ledger_checkpoints where number = 2; delete from ledger_checkpoints where number = 2",
      "insert into ledger_checkpoints select * from gone",
      /^drift: checkpoint 2 is not there, but later ones are/,
    ],
  ])("finds %s, and that it is mended", async (_name, damage, mend, told) => {
    const { looks, warnings } = openAudit();
    await rows(damage);
    expect((await looks(4)).drift).toBeGreaterThan(0);
    expect(warnings).toContainEqual(expect.stringMatching(told));
    const toldBefore = warnings.length;
    await rows(mend);
    expect((await looks(1)).drift).toBe(0);
    expect((await looks(4)).drift).toBe(0);
    expect(warnings).toHaveLength(toldBefore);
  });

  /** A place that has taken as many events as the test says. */
  const countingSink = (counts: (number | Error)[]): EventSink => ({
    name: "counting",
    publish: async () => undefined,
    close: async () => undefined,
    countEvents: async () => {
      const count = counts.shift();
      if (typeof count !== "number") throw count ?? new Error("it was counted once too often");
      return count;
    },
  });
  const lookAt = async (counts: (number | Error)[]) => {
    const { log } = openLog();
    const audit = new PublishedAudit(log, 0);
    const sink = countingSink(counts);
    const session = drizzle(ledger.sale.pool);
    const [{ epoch = 0, txid = "", id = "" } = {}] = await ledger.sale.rows<{
      epoch: number;
      txid: string;
      id: string;
    }>("select epoch, txid::text, id::text from ledger_cursors");
    const drifts: number[] = [];
    while (counts.length > 0) {
      await audit.look(session, { sink, cursor: { epoch, txid, id } });
      // What the place says is in a later answer.
      drifts.push((await audit.look(session, undefined)).topic.drift);
    }
    return drifts;
  };

  test("believes a topic that is short when it is so twice in a row", async () => {
    expect(await lookAt([12, 13, 11, 12, 11, 12])).toEqual([0, 0, 0, 0, 0, 0]);
    expect(await lookAt([12, 11, 11, 11, 12])).toEqual([0, 0, 1, 1, 0]);
  });

  test("neither finds nor forgets anything while the topic cannot be asked", async () => {
    const away = new Error("no broker answers");
    expect(await lookAt([11, 11, away, away, 12])).toEqual([0, 1, 1, 1, 0]);
    expect(await lookAt([12, away, away])).toEqual([0, 0, 0]);
  });
});

describe.skipIf(!kafkaFound)("the audit of the topic, on a real Kafka", () => {
  const TOPIC = "booking-events";
  const stack = new AsyncDisposableStack();
  let kafka: KafkaBroker;
  let ledger: Ledger;
  beforeAll(async () => {
    ledger = await openLedger();
    stack.defer(() => ledger.close());
    kafka = await startKafka();
    stack.defer(() => kafka.stop());
  }, BROKER_TIMEOUT_MS);
  afterAll(() => stack.disposeAsync(), BROKER_TIMEOUT_MS);

  test("finds a topic that was deleted and created again, and that it has everything again", async () => {
    const { log, warnings } = openLog();
    const session = {
      databaseUrl: ledger.sale.url,
      name: "relay",
      statementTimeoutMs: 1500,
      connectTimeoutMs: 5000,
    };
    const relay = new Relay({
      openSession: (onError) => openSession(session, onError),
      openSink: () => openKafkaSink([kafka.brokers]),
      batchLimitRows: 100,
      log: createLog("silent", "test"),
      audit: new PublishedAudit(log, 0),
    });
    stack.defer(() => relay.close());
    const sees = (drift: number, published: number) => {
      let counted = 0;
      let sent = 0;
      return until(`the topic's drift is ${drift}, after ${published} more events`, async () => {
        const report = await relay.round();
        sent += report.publishedCount;
        // A count that was begun before does not count.
        if (sent >= published) counted += report.audit?.topic.lookedAt ?? 0;
        return counted > 2 && report.audit?.topic.drift === drift;
      });
    };
    await ledger.sell(5);
    await sees(0, 5);
    expect(warnings).toEqual([]);

    const admin = new Kafka({ brokers: [kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.deleteTopics({ topics: [TOPIC] }).finally(() => admin.disconnect());
    await sees(1, 0);
    expect(warnings).toEqual([
      "drift: 5 ledger rows are published, but the topic has taken 0 events since it was made",
    ]);
    // The next sale creates it again, with one event.
    await ledger.sell(1);
    await sees(1, 1);

    // As the alert says it is mended.
    await relay.close();
    await ledger.sale.rows("delete from ledger_cursors");
    await sees(0, 6);
  });
});
