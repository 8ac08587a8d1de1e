import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Kafka, logLevel, type RetryOptions } from "kafkajs";
import { type Child, startChild } from "./child.ts";
import { freePort } from "./free-port.ts";
import { type Missing, present } from "./parts.ts";
import { tempDir } from "./temp-dir.ts";
import { until, within } from "./until.ts";

const START_DEADLINE_MS = 40_000;
const FORMAT_TIMEOUT_MS = 30_000;
const OLDEST_JAVA = 17;
const CLIENT_TIMEOUT_MS = 2_000;
/** Whoever asks the admin polls; a quick refusal is an answer. */
const ASK_ONCE: RetryOptions = { retries: 0 };
/** A broker's first consumer waits for the coordinator's own topic to be made: 2 s on an idle machine. */
const PATIENT: RetryOptions = { retries: 20, initialRetryTime: 100, maxRetryTime: 500 };

export interface KafkaBroker {
  /** host:port, as KAFKA_BROKERS wants it. */
  brokers: string;
  port: number;
  pid(): number;
  /** Hangs it: connections stay open and nothing answers. */
  pause(): void;
  resume(): void;
  /** SIGKILL; topics and messages stay in its folder. */
  kill(): Promise<void>;
  /** Starts again on the same port and folder after `kill`, and waits until it answers. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

interface KafkaInstallation {
  java: string;
  libsDir: string;
}

/** A Java 17+ on PATH, and the broker's jars (`org.apache.kafka:kafka_2.13` and what it needs) in KAFKA_LIBS_DIR. */
export function findKafka(): KafkaInstallation | Missing {
  const { KAFKA_LIBS_DIR: libsDir } = process.env;
  if (!libsDir) return { missing: "KAFKA_LIBS_DIR does not name a folder with the broker's jars" };
  if (!jarsIn(libsDir).some((name) => name.startsWith("kafka_"))) {
    return { missing: `no kafka_*.jar lies in KAFKA_LIBS_DIR (${libsDir})` };
  }
  const java = Bun.which("java");
  if (!java) return { missing: "no java is on PATH" };
  const told = Bun.spawnSync([java, "-version"], { stderr: "pipe" }).stderr.toString();
  const version = Number(/version "(\d+)/.exec(told)?.[1] ?? 0);
  if (version < OLDEST_JAVA) return { missing: `java on PATH is older than ${OLDEST_JAVA}: ${told.trim()}` };
  return { java, libsDir };
}

/** A further listener of a broker, for clients that come by TLS; the plain one stays for the test itself. */
export interface SecureListener {
  name: string;
  protocol: "SSL" | "SASL_SSL";
  port: number;
  /** Of this listener alone, as the broker names them without `listener.name.<name>.`. */
  settings: Record<string, string>;
}

export interface KafkaSecurity {
  listeners: SecureListener[];
  /** As `kafka-storage format --add-scram` wants them. */
  scramUsers: string[];
}

/**
 * One broker that is its own controller (KRaft), with a folder of its own; it creates no topic by itself.
 * @param advertisedPort where it tells its clients that it is: a proxy before it, for instance.
 */
export async function startKafka(
  port?: number,
  advertisedPort?: number,
  { listeners, scramUsers }: KafkaSecurity = { listeners: [], scramUsers: [] },
): Promise<KafkaBroker> {
  const { java, libsDir } = present(findKafka());
  const brokerPort = port ?? (await freePort());
  const controllerPort = await freePort();
  const dir = await tempDir("kafka");
  const properties = join(dir.path, "server.properties");
  const logging = join(dir.path, "log4j2.properties");
  await writeFile(
    properties,
    serverProperties(
      brokerPort,
      advertisedPort ?? brokerPort,
      controllerPort,
      join(dir.path, "log"),
      listeners,
    ) + listeners.map(listenerProperties).join(""),
  );
  await writeFile(logging, LOGGING);
  const startJava = (heap: string, main: string, ...rest: string[]) =>
    startChild(main, [
      ...[java, heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", `-Dlog4j2.configurationFile=${logging}`],
      ...["-cp", join(libsDir, "*"), main, ...rest],
    ]);

  let child: Child | undefined;
  const stop = async () => {
    // The folder goes with it: a controlled shutdown would only cost seconds.
    await child?.kill();
    await dir.remove();
  };
  const run = async () => {
    const started = startJava("-Xmx512m", "kafka.Kafka", properties);
    child = started;
    await until(() => started.exitCode() !== undefined || isReady(brokerPort), {
      deadlineMs: START_DEADLINE_MS,
      what: `Kafka answers on port ${brokerPort} and has a controller`,
    }).catch((error) => {
      throw new Error(`Kafka did not start:\n${started.output()}`, { cause: error });
    });
    if (started.exitCode() !== undefined) throw new Error(`Kafka ended at its start:\n${started.output()}`);
  };
  try {
    const clusterId = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64url");
    await format(
      startJava(
        "-Xmx128m",
        "kafka.tools.StorageTool",
        ...["format", "--standalone", `--cluster-id=${clusterId}`, "-c", properties],
        ...scramUsers.flatMap((user) => ["--add-scram", user]),
      ),
    );
    await run();
  } catch (error) {
    await stop();
    throw error;
  }
  const alive = (): Child => {
    if (!child) throw new Error("Kafka was not started");
    return child;
  };
  return {
    brokers: `127.0.0.1:${brokerPort}`,
    port: brokerPort,
    pid: () => alive().pid,
    pause: () => alive().pause(),
    resume: () => alive().resume(),
    kill: () => alive().kill(),
    restart: run,
    stop,
  };
}

async function format(tool: Child): Promise<void> {
  await until(() => tool.exitCode() !== undefined, {
    deadlineMs: FORMAT_TIMEOUT_MS,
    what: "Kafka's storage is formatted",
  }).finally(() => tool.kill());
  if (tool.exitCode() !== 0) throw new Error(`Kafka's storage could not be formatted:\n${tool.output()}`);
}

export interface TopicMessage {
  partition: number;
  offset: number;
  key: string | undefined;
  value: string;
  headers: Record<string, string>;
}

/**
 * Every message of a topic, by partition and offset. Waits until there are `atLeast` as many, then reads from
 * the beginning to the end that was seen, in a group of its own that nobody else joins.
 */
export async function readTopic(
  brokers: string,
  topic: string,
  { atLeast, deadlineMs }: { atLeast: number; deadlineMs: number },
): Promise<TopicMessage[]> {
  const deadline = Date.now() + deadlineMs;
  const ends = await until(
    async () => {
      const offsets = await topicEnds(brokers, topic);
      return sum(offsets.values()) >= atLeast && offsets;
    },
    { deadlineMs, what: `${atLeast} messages in topic ${topic}` },
  );
  if (sum(ends.values()) === 0) return [];

  const messages: TopicMessage[] = [];
  const unread = new Set([...ends].filter(([, end]) => end > 0).map(([partition]) => partition));
  const consumer = client(brokers, PATIENT).consumer({
    groupId: `test-${crypto.randomUUID()}`,
    maxWaitTimeInMs: 100,
    sessionTimeout: 10_000,
  });
  let crash: Error | undefined;
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) crash = payload.error;
  });
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        const { partition } = batch;
        const end = ends.get(partition) ?? 0;
        for (const { offset, key, value, headers } of batch.messages) {
          if (Number(offset) >= end) continue;
          messages.push({
            partition,
            offset: Number(offset),
            key: key?.toString(),
            value: value?.toString() ?? "",
            headers: Object.fromEntries(
              Object.entries(headers ?? {}).map(([name, text]) => [name, String(text)]),
            ),
          });
        }
        if (Number(batch.lastOffset()) + 1 >= end) unread.delete(partition);
      },
    });
    await until(() => unread.size === 0 || crash, {
      deadlineMs: Math.max(1, deadline - Date.now()),
      what: `topic ${topic} is read to its end`,
    });
    if (crash) throw crash;
  } finally {
    await within(consumer.disconnect(), 5_000, "the consumer to disconnect").catch(console.warn);
  }
  return messages.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

/** How many messages each partition of a topic has had; none when the topic does not exist. */
export async function topicEnds(brokers: string, topic: string): Promise<Map<number, number>> {
  const admin = client(brokers, ASK_ONCE).admin();
  try {
    await admin.connect();
    if (!(await admin.listTopics()).includes(topic)) return new Map();
    const offsets = await admin.fetchTopicOffsets(topic);
    return new Map(offsets.map(({ partition, high }) => [partition, Number(high)]));
  } finally {
    await within(admin.disconnect(), 5_000, "the admin to disconnect").catch(console.warn);
  }
}

/** As an operator does by mistake: the topic is gone, with all that was in it. */
export async function deleteTopic(brokers: string, topic: string): Promise<void> {
  const admin = client(brokers, ASK_ONCE).admin();
  try {
    await admin.connect();
    await admin.deleteTopics({ topics: [topic] });
  } finally {
    await within(admin.disconnect(), 5_000, "the admin to disconnect").catch(console.warn);
  }
}

async function isReady(port: number): Promise<boolean> {
  const admin = client(`127.0.0.1:${port}`, ASK_ONCE).admin();
  try {
    await admin.connect();
    const { brokers, controller } = await admin.describeCluster();
    return brokers.length === 1 && controller !== null;
  } finally {
    await admin.disconnect();
  }
}

const client = (brokers: string, retry: RetryOptions) =>
  new Kafka({
    clientId: "test",
    brokers: brokers.split(","),
    logLevel: logLevel.NOTHING,
    connectionTimeout: CLIENT_TIMEOUT_MS,
    requestTimeout: CLIENT_TIMEOUT_MS,
    retry,
  });

const addressOf = ({ name, port }: SecureListener) => `,${name}://127.0.0.1:${port}`;

const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, each) => total + each, 0);

function jarsIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".jar"));
  } catch {
    return [];
  }
}

/**
 * The controller refuses a killed broker's return until its former session is over: 9 s by default, 3 s here.
 */
const serverProperties = (
  brokerPort: number,
  advertisedPort: number,
  controllerPort: number,
  logDir: string,
  secure: SecureListener[],
) => `
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:${controllerPort}
listeners=PLAINTEXT://127.0.0.1:${brokerPort},CONTROLLER://127.0.0.1:${controllerPort}${secure.map(addressOf).join("")}
advertised.listeners=PLAINTEXT://127.0.0.1:${advertisedPort},CONTROLLER://127.0.0.1:${controllerPort}${secure.map(addressOf).join("")}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT${secure.map(({ name, protocol }) => `,${name}:${protocol}`).join("")}
log.dirs=${logDir}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
`;

const listenerProperties = ({ name, settings }: SecureListener) =>
  Object.entries(settings)
    .map(([setting, value]) => `listener.name.${name.toLowerCase()}.${setting}=${value}\n`)
    .join("");

const LOGGING = `
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%p %c: %m%n
`;
