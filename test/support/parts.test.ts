import { afterAll, describe, expect, test } from "bun:test";
import { connect, createServer } from "node:net";
import { Kafka, logLevel } from "kafkajs";
import { Client } from "pg";
import { findKafka, readTopic, startKafka, topicEnds } from "./kafka.ts";
import { partOrSkip } from "./parts.ts";
import { createDatabase } from "./postgres.ts";
import { startProxy } from "./proxy.ts";
import { findRedis, startRedis } from "./redis.ts";
import { until } from "./until.ts";

const redisFound = await partOrSkip("redis", findRedis);
const kafkaFound = await partOrSkip("kafka", findKafka);

describe("a database for a test file", () => {
  test("is its own: rows of one are not seen in another", async () => {
    const [one, other] = [await createDatabase(), await createDatabase()];
    const [first, second] = [new Client(one.url), new Client(other.url)];
    await Promise.all([first.connect(), second.connect()]);
    await first.query("insert into events (name, currency) values ('of one', 'EUR')");
    expect((await second.query("select from events")).rowCount).toBe(0);
    await Promise.all([first.end(), second.end()]);
    await Promise.all([one.drop(), other.drop()]);
  });

  test("is empty where a first start is to be seen", async () => {
    const database = await createDatabase("empty");
    const client = new Client(database.url);
    await client.connect();
    expect((await client.query("select to_regclass('seats') as seats")).rows).toEqual([{ seats: null }]);
    await client.end();
    await database.drop();
  });
});

describe.skipIf(!redisFound)("a Redis of a test", () => {
  test("comes back at the same address, empty", async () => {
    const redis = await startRedis();
    await redis.kill();
    const again = await startRedis(redis.port);
    expect(again.url).toBe(redis.url);
    await again.stop();
    await redis.stop();
  });
});

describe.skipIf(!kafkaFound)("a Kafka of a test", () => {
  const topic = "kept";
  let stop = async () => {};
  afterAll(() => stop());

  test("keeps what it acknowledged when it is killed and comes back", async () => {
    const broker = await startKafka();
    stop = broker.stop;
    const client = new Kafka({ brokers: [broker.brokers], logLevel: logLevel.NOTHING });
    const admin = client.admin();
    await admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: true });
    await admin.disconnect();
    const producer = client.producer();
    await producer.connect();
    const sent = Array.from({ length: 30 }, (_, seat) => ({
      key: String(seat),
      value: `value ${seat}`,
      headers: { ce_id: `${seat}:1` },
    }));
    await producer.send({ topic, messages: sent });
    await producer.disconnect();

    await broker.kill();
    await broker.restart();

    const read = await readTopic(broker.brokers, topic, { atLeast: sent.length, deadlineMs: 20_000 });
    // A send whose acknowledgement was slow is repeated: each message is there at least once.
    const kept = new Map(read.map(({ key, value, headers }) => [key, { key, value, headers }]));
    expect([...kept.values()].sort(byKey)).toEqual(sent.sort(byKey));
    expect([...(await topicEnds(broker.brokers, topic)).keys()].sort()).toEqual([0, 1, 2]);
    expect(await topicEnds(broker.brokers, "never made")).toEqual(new Map());
  });
});

describe("a network of a test", () => {
  test("hangs without closing, goes on, breaks and comes back", async () => {
    const echo = createServer((socket) => socket.pipe(socket));
    await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
    const address = echo.address();
    const proxy = await startProxy(`tcp://127.0.0.1:${typeof address === "object" && address?.port}`);
    const open = () => {
      let heard = "";
      const socket = connect(proxy.port, "127.0.0.1").on("error", () => {});
      socket.on("data", (bytes) => {
        heard += bytes;
      });
      return { socket, heard: () => heard };
    };
    const waiting = { deadlineMs: 2_000 };

    const first = open();
    first.socket.write("one ");
    await until(() => first.heard() === "one ", { ...waiting, what: "an echo" });
    proxy.hang();
    first.socket.write("two ");
    const echoed = until(() => first.heard() !== "one ", { deadlineMs: 100, what: "an echo" });
    await expect(echoed).rejects.toThrow("not within");
    expect(first.socket.closed).toBe(false);
    proxy.heal();
    await until(() => first.heard() === "one two ", { ...waiting, what: "the echo that was held back" });
    proxy.cut();
    await until(() => first.socket.closed, { ...waiting, what: "the connection breaks" });
    const refused = open();
    await until(() => refused.socket.closed, { ...waiting, what: "a new connection is refused" });
    proxy.heal();
    const second = open();
    second.socket.write("three");
    await until(() => second.heard() === "three", { ...waiting, what: "an echo after the break" });

    second.socket.destroy();
    await proxy.stop();
    echo.close();
  });
});

describe("waiting", () => {
  test("ends at the deadline although the condition never answers", async () => {
    const waiting = until(() => new Promise<boolean>(() => {}), { deadlineMs: 100, what: "an answer" });
    await expect(waiting).rejects.toThrow("not within 100 ms: an answer");
  });
});

const byKey = (a: { key?: string | undefined }, b: { key?: string | undefined }) =>
  Number(a.key) - Number(b.key);
