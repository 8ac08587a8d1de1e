import { beforeAll, describe, expect, test } from "bun:test";
import { type Admin, Kafka, logLevel } from "kafkajs";
import { reserve, seatsFrom } from "../engine/buyers.ts";
import { runEngine } from "../engine/command.ts";
import { logLines } from "../engine/engines.ts";
import { expectPublished, readEvents, type SeatEvent, TOPIC } from "../engine/events.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { findKafka } from "../fixtures/kafka.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { until } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import { giveBack } from "./truth.ts";

// The topic changes under the engine.

const found = await partOrSkip("kafka", findKafka);

const SEATS = 20_000;
const WAIT = { deadlineMs: 40_000 };
/** These are sold and given back again and again, so that each has events before and after a change. */
const SEATS_AGAIN = Array.from({ length: 24 }, (_, index) => index + 1);
const GROUP = "tickets";

describe.skipIf(!found)("a topic", () => {
  const sale = useEngine({ needs: ["kafka"], seats: SEATS, cancellable: true });
  const seats = seatsFrom(SEATS_AGAIN.length + 1, SEATS);
  let admin: Admin;
  const broker = () => sale.kafka ?? expect.unreachable("skipped without Kafka");

  beforeAll(async () => {
    admin = new Kafka({ brokers: [broker().brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    sale.stack.defer(() => admin.disconnect());
    await acknowledged();
  });

  const sell = async (seatIds: Iterable<number>) => {
    for (const seatId of seatIds) expect((await reserve(sale.url, seatId)).status).toBe(201);
  };
  const sellNew = async (count: number) => {
    for (let sold = 0; sold < count; sold++) await sell([seats.next().value ?? 0]);
  };
  const sellAgain = async () => {
    await giveBack(sale.facts, SEATS_AGAIN);
    await until("they are sold again", () => sell(SEATS_AGAIN).then(() => true));
  };
  const waiting = async () => {
    const rows = await sale.facts.query<{ count: string }>(
      `select count(*) from seat_events where (epoch, txid, id) >
         (select epoch, txid, id from ledger_cursors order by updated_at desc limit 1)`,
    );
    return Number(rows[0]?.count);
  };
  const acknowledged = () => until("nothing waits to be published", async () => (await waiting()) === 0);
  const metricsAre = (wanted: Record<string, number>) =>
    until(JSON.stringify(wanted), async () => {
      const { value } = await readMetrics(sale.url);
      return Object.entries(wanted).every(([name, number]) => value(`sentinel_${name}`) === number);
    });
  const kafkaIs = (up: 0 | 1) =>
    until(
      `Kafka is ${up}`,
      async () => (await readMetrics(sale.url)).value("sentinel_component_up", { component: "kafka" }) === up,
    );
  const count = async () => {
    const rows = await sale.facts.query<{ count: string }>("select count(*) from seat_events");
    return Number(rows[0]?.count);
  };
  const read = async () => readEvents({ brokers: broker().brokers }, { atLeast: await count(), ...WAIT });
  const linesWith = (text: string) => logLines(sale.engine).filter(({ msg }) => msg.includes(text));
  const topic = (...args: string[]) => runEngine(sale.env, { args: ["topic", ...args] });
  const setTopic = (name: string, value: string) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: 2, name: TOPIC, configEntries: [{ name, value }] }],
    });
  const partitionsOf = (events: SeatEvent[]) => new Set(events.map(({ partition }) => partition));

  test("that gets more partitions keeps each seat in its own, and says so", async () => {
    await sell(SEATS_AGAIN);
    await sellAgain();
    await acknowledged();
    await admin.createPartitions({ topicPartitions: [{ topic: TOPIC, count: 6 }] });
    await metricsAre({ topic_partitions: 6, topic_partitions_used: 3 });
    await sellAgain();
    await sellNew(50);
    await acknowledged();
    const events = await read();
    await expectPublished(sale.facts, events);
    expect([...partitionsOf(events)].sort()).toEqual([0, 1, 2]);
    expect(linesWith("topic's number of partitions differs")).toHaveLength(1);
    expect(await topic()).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("6 partitions") });
  });

  test("is spread over all its partitions once they are confirmed and every group has read everything", async () => {
    const ends = await admin.fetchTopicOffsets(TOPIC);
    const commit = (places: { partition: number; offset: string }[]) =>
      until("the group's place is kept", () =>
        admin.setOffsets({ groupId: GROUP, topic: TOPIC, partitions: places }).then(() => true),
      );
    await commit(ends.map(({ partition }) => ({ partition, offset: "0" })));
    const before = await read();
    const confirmed = await topic("confirm-partitions");
    expect([confirmed.exitCode, confirmed.stdout]).toEqual([0, expect.stringContaining(GROUP)]);
    await until("publishing waits", () => linesWith("publishing is paused").length > 0);
    await sellAgain();
    await sellNew(50);
    expect(await waiting()).toBeGreaterThan(50);
    expect((await readEvents({ brokers: broker().brokers }, { atLeast: 0, ...WAIT })).length).toBe(
      before.length,
    );

    // The order is taken back, so everything goes where it went before; then it is given again.
    expect(await topic()).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("topic withdraw") });
    expect((await topic("withdraw")).exitCode).toBe(0);
    await acknowledged();
    await metricsAre({ topic_partitions: 6, topic_partitions_used: 3 });
    const withdrawn = await read();
    expect([...partitionsOf(withdrawn)].sort()).toEqual([0, 1, 2]);
    expect(await topic("withdraw")).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining("nothing"),
    });
    expect((await topic("confirm-partitions")).exitCode).toBe(0);
    await until("publishing waits again", () => linesWith("publishing is paused").length > 1);
    await sellAgain();
    await sellNew(50);

    const places = await admin.fetchTopicOffsets(TOPIC);
    await commit(places.map(({ partition, high }) => ({ partition, offset: high })));
    await acknowledged();
    await metricsAre({ topic_partitions: 6, topic_partitions_used: 6 });
    const events = await read();
    expect([...partitionsOf(events)].sort()).toEqual([0, 1, 2, 3, 4, 5]);
    // Of a seat that has moved, everything in the former partition was read before the first event in the new one.
    const isOld = new Set(withdrawn.map(({ headers: { ce_id } }) => ce_id));
    const moved = SEATS_AGAIN.filter(
      (seatId) => partitionsOf(events.filter(({ value }) => value.seatId === seatId)).size === 2,
    );
    expect(moved.length).toBeGreaterThan(0);
    for (const seatId of moved) {
      const late = events.filter(
        ({ value, headers }) => value.seatId === seatId && !isOld.has(headers["ce_id"]),
      );
      expect(partitionsOf(late).size).toBe(1);
    }
    expect(linesWith("publishing is paused")).toHaveLength(2);
    expect((await topic()).exitCode).toBe(0);
  });

  test("that takes only small messages gets smaller sends, and none is left out", async () => {
    await setTopic("max.message.bytes", "5000");
    broker().pause();
    await sellNew(400);
    broker().resume();
    await acknowledged();
    await expectPublishedInOrder();
  });

  test("that cannot take one event is told of by seat and version, and goes on when it can", async () => {
    const before = logLines(sale.engine).length;
    await setTopic("max.message.bytes", "100");
    const seatId = seats.next().value ?? 0;
    await sell([seatId]);
    await kafkaIs(0);
    await sellNew(5);
    const ends = async () => (await admin.fetchTopicOffsets(TOPIC)).map(({ high }) => high);
    const stuck = await ends();
    const failures = async () => (await readMetrics(sale.url)).value("sentinel_publish_failures_total") ?? 0;
    const failed = await failures();
    await until("it is tried again", async () => (await failures()) > failed + 3);
    expect(await ends()).toEqual(stuck);
    await setTopic("max.message.bytes", "1048588");
    await acknowledged();
    await kafkaIs(1);
    expect(
      logLines(sale.engine)
        .slice(before)
        .map(({ msg, error }) => [msg.split(":")[0], error]),
    ).toEqual([
      ["the event sink is unavailable", expect.stringContaining(`seat ${seatId}, version 1, is larger`)],
      ["the event sink is available again", undefined],
    ]);
    await expectPublishedInOrder();
  });

  test("created again with fewer partitions gets nothing in a wrong one, and everything once confirmed", async () => {
    await admin.deleteTopics({ topics: [TOPIC] });
    await until("it is gone", async () => !(await admin.listTopics()).includes(TOPIC));
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 2 }], waitForLeaders: false });
    const described = () => admin.fetchTopicMetadata({ topics: [TOPIC] });
    await until("it is there", async () => (await described()).topics[0]?.partitions.length === 2);
    await sellNew(20);
    await kafkaIs(0);
    await metricsAre({ topic_partitions: 2, topic_partitions_used: 6 });
    expect(linesWith("topic's number of partitions differs")).toHaveLength(2);
    expect((await topic("confirm-partitions", "--now")).exitCode).toBe(0);
    await kafkaIs(1);
    await acknowledged();
    await metricsAre({ topic_partitions: 2, topic_partitions_used: 2 });
    const republish = (...args: string[]) => runEngine(sale.env, { args: ["republish", ...args] });
    expect((await republish()).exitCode).toBe(1);
    expect((await republish("--apply")).exitCode).toBe(0);
    await until("nothing is missing", async () => (await republish()).exitCode === 0);
    const { stdout } = await runEngine(sale.env, { args: ["verify", "--json"] });
    const { proofs }: { proofs: { name: string; verdict: string }[] } = JSON.parse(stdout);
    expect(proofs.find(({ name }) => name === "events")).toMatchObject({ verdict: "proven" });
  });

  /** Over the seats that never moved to another partition, where the order can be seen. */
  async function expectPublishedInOrder() {
    const events = await read();
    const stayed = events.filter(({ value }) => value.seatId > SEATS_AGAIN.length);
    expect(new Set(events.map(({ headers: { ce_id } }) => ce_id)).size).toBe(await count());
    expect(new Set(stayed.map(({ value }) => value.seatId)).size).toBe(stayed.length - repeatedOf(stayed));
  }
});

const repeatedOf = (events: SeatEvent[]) =>
  events.length - new Set(events.map(({ headers: { ce_id } }) => ce_id)).size;
