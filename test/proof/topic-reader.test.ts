import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Kafka, logLevel } from "kafkajs";
import { openKafkaSink } from "../../src/ledger/sinks/kafka-sink.ts";
import type { EventSink, OutgoingEvent } from "../../src/ledger/sinks/sink.ts";
import type { StoredEvent } from "../../src/proof/verify/event-store.ts";
import { openTopicReader } from "../../src/proof/verify/topic-reader.ts";
import { findKafka, type KafkaBroker, startKafka } from "../fixtures/kafka.ts";
import { partOrSkip } from "../fixtures/parts.ts";

const found = await partOrSkip("kafka", findKafka);

const BROKER_TIMEOUT_MS = 60_000;

const eventOf = (seatId: number, version: number): OutgoingEvent => ({
  key: String(seatId),
  value: `{"seatId":${seatId},"version":${version}}`,
  headers: { ce_specversion: "1.0", ce_id: `${seatId}:${version}` },
});
const identityOf = ({ headers }: OutgoingEvent) => headers["ce_id"];
const plain = ({ key, value, headers }: OutgoingEvent) => ({ key, value, headers });

describe.skipIf(!found)("the reader of the topic", () => {
  let broker: KafkaBroker;
  let sink: EventSink;
  const closes: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    broker = await startKafka();
    closes.push(broker.stop);
  }, BROKER_TIMEOUT_MS);
  afterAll(async () => {
    for (const close of closes.splice(0).reverse()) await close();
  }, BROKER_TIMEOUT_MS);

  const open = async () => {
    const reader = await openTopicReader([broker.brokers]);
    closes.push(reader.close);
    return reader;
  };
  const read = async (reader: Awaited<ReturnType<typeof open>>) => {
    const events: StoredEvent[] = [];
    await reader.read(async (batch) => {
      events.push(...batch);
    });
    return events;
  };
  const many = Array.from({ length: 300 }, (_, index) => eventOf(index + 1, 1));

  test("finds nothing where there is no topic yet, and is kept under the sink's own name", async () => {
    const reader = await open();
    expect([await read(reader), reader.removedCount]).toEqual([[], 0]);
    sink = await openKafkaSink([broker.brokers]);
    closes.push(sink.close);
    expect(reader.sink).toBe(sink.name);
    expect(await read(await open())).toEqual([]);
  });

  test("reads every message as it was sent, and tells those that were there when it was opened", async () => {
    await sink.publish(many);
    const reader = await open();
    const newer = [eventOf(1, 2), eventOf(2, 2)];
    await sink.publish(newer);
    const events = await read(reader);
    const byIdentity = (one: OutgoingEvent, other: OutgoingEvent) =>
      (identityOf(one) ?? "") < (identityOf(other) ?? "") ? -1 : 1;
    expect(events.map(plain).sort(byIdentity)).toEqual([...many, ...newer].sort(byIdentity));
    expect(
      events
        .filter(({ isSettled }) => !isSettled)
        .map(identityOf)
        .sort(),
    ).toEqual(["1:2", "2:2"]);
    const ofSeat = events.filter(({ key }) => key === "1").map(({ place }) => place);
    expect(ofSeat).toEqual([expect.stringMatching(/^partition \d, offset \d+$/), expect.any(String)]);
  });

  test("tells how many messages the topic's retention has removed, and leaves no group behind", async () => {
    const admin = new Kafka({ brokers: [broker.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    closes.push(() => admin.disconnect());
    const [first] = await admin.fetchTopicOffsets("booking-events");
    const partitions = [{ partition: first?.partition ?? 0, offset: "10" }];
    await admin.deleteTopicRecords({ topic: "booking-events", partitions });
    const reader = await open();
    expect(reader.removedCount).toBe(10);
    expect((await read(reader)).length).toBe(many.length + 2 - 10);
    const { groups } = await admin.listGroups();
    expect(groups.map(({ groupId }) => groupId)).toEqual([]);
  });
});
