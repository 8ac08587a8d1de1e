import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, createServer } from "node:net";
import { openKafkaSink } from "../../src/ledger/sinks/kafka-sink.ts";
import type { EventSink, OutgoingEvent } from "../../src/ledger/sinks/sink.ts";
import { findKafka, type KafkaBroker, readTopic, startKafka, topicEnds } from "../fixtures/kafka.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { until } from "../fixtures/until.ts";

const found = await partOrSkip("kafka", findKafka);

const TOPIC = "booking-events";
const DEADLINE_MS = 30_000;
const BROKER_TIMEOUT_MS = 60_000;

const eventOf = (seatId: number, version: number): OutgoingEvent => ({
  key: String(seatId),
  value: `{"seatId":${seatId},"status":"RESERVED","timestamp":1763800000123,"version":${version}}`,
  headers: { ce_id: `${seatId}:${version}`, ce_specversion: "1.0", "content-type": "application/json" },
});

describe.skipIf(!found)("the Kafka sink", () => {
  let broker: KafkaBroker;
  const sinks: EventSink[] = [];
  beforeAll(async () => {
    broker = await startKafka();
  }, BROKER_TIMEOUT_MS);
  afterAll(async () => {
    for (const sink of sinks) await sink.close().catch(() => undefined);
    await broker.stop();
  }, BROKER_TIMEOUT_MS);

  const open = async () => {
    const sink = await openKafkaSink([broker.brokers]);
    sinks.push(sink);
    return sink;
  };
  const read = (atLeast: number) => readTopic(broker.brokers, TOPIC, { atLeast, deadlineMs: DEADLINE_MS });

  test("makes the topic with 3 partitions where it is missing, also when two processes do so at once", async () => {
    const [one, other] = await Promise.all([open(), open()]);
    expect([...(await topicEnds(broker.brokers, TOPIC)).keys()].sort()).toEqual([0, 1, 2]);
    expect(one.name).toBe(other.name);
  });

  test("finds its brokers by an IPv6 address too", async () => {
    const server = createServer((near) => {
      const far = connect(broker.port, "127.0.0.1");
      near.on("error", () => far.destroy()).pipe(far);
      far.on("error", () => near.destroy()).pipe(near);
    });
    await new Promise<void>((resolve) => server.listen(0, "::1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const sink = await openKafkaSink([`[::1]:${port}`]);
    sinks.push(sink);
    server.close();
    expect(sink.name).toBe((await open()).name);
  });

  test("sends key, value and headers as they are", async () => {
    const sink = await open();
    const event = eventOf(1, 1);
    await sink.publish([event]);
    const [message] = await read(1);
    expect(message).toMatchObject({ key: event.key, value: event.value, headers: event.headers });
  });

  test("keeps each seat in one partition and in order, over sends and over sinks", async () => {
    const before = (await read(0)).length;
    const seatIds = Array.from({ length: 30 }, (_, index) => index + 100);
    for (let version = 1; version <= 3; version++) {
      const sink = await open();
      await sink.publish(seatIds.map((seatId) => eventOf(seatId, version)));
    }
    const messages = await read(before + 90);
    const placeOf = (seatId: number) => messages.filter(({ key }) => key === String(seatId));
    for (const seatId of seatIds) {
      expect(placeOf(seatId).map(({ headers: { ce_id } }) => ce_id)).toEqual(
        [1, 2, 3].map((v) => `${seatId}:${v}`),
      );
      expect(new Set(placeOf(seatId).map(({ partition }) => partition)).size).toBe(1);
    }
    expect(new Set(messages.map(({ partition }) => partition)).size).toBe(3);
  });

  test(
    "fails while the broker is unavailable, and a new sink goes on under the same name when it is back",
    async () => {
      const sink = await open();
      const before = (await read(0)).length;
      await broker.kill();
      const failed = await sink.publish([eventOf(7, 1)]).then(
        () => "published",
        () => "failed",
      );
      const refused = await open().then(
        () => "opened",
        () => "refused",
      );
      expect([failed, refused]).toEqual(["failed", "refused"]);

      await broker.restart();
      const again = await until("a new sink publishes", async () => {
        const next = await open();
        await next.publish([eventOf(7, 1), eventOf(7, 2)]);
        return next;
      });
      expect(again.name).toBe(sink.name);
      const ofSeat = (await read(before + 2)).filter(({ key }) => key === "7");
      const identities = ofSeat.map(({ headers: { ce_id } }) => ce_id);
      expect([...new Set(identities)]).toEqual(["7:1", "7:2"]);
    },
    BROKER_TIMEOUT_MS,
  );
});
