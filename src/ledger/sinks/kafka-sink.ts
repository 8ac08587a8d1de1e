import {
  type Admin,
  CompressionTypes,
  type ICustomPartitioner,
  type Kafka,
  KafkaJSProtocolError,
  Partitioners,
  type PartitionMetadata,
  type Producer,
} from "kafkajs";
import { TOPIC } from "../../config/config.ts";
import type { KafkaSecurity } from "../../config/credential-relations.ts";
import { findLaggards } from "./consumer-groups.ts";
import { hasTopic, kafkaClient, readPartitionCount, sinkNameAt, withAdmin } from "./kafka-client.ts";
import { SendSize } from "./send-size.ts";
import type { EventSink, OutgoingEvent, Partitions } from "./sink.ts";

/** Partitions of a topic that the engine creates. */
const PARTITION_COUNT = 3;
const REQUEST_TIMEOUT_MS = 5000;
const CONNECT_TIMEOUT_MS = 2000;

/**
 * Kept low, because the publisher itself repeats failed sends, in order and without end. An idempotent
 * producer needs at least one retry.
 */
const FEW_RETRIES = { retries: 1, initialRetryTime: 100 };

/** Broker errors for a send over the topic's `max.message.bytes` or the broker's own limits. */
const TOO_LARGE = new Set(["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"]);

/**
 * Connects to Kafka and creates the topic if it is missing. One request in flight at a time keeps the order.
 * Idempotence costs nothing here and saves consumers most duplicates. After any error the caller opens a new
 * sink (docs/decisions/0011-kafkajs-with-a-patch.md).
 * @param size events per send that the topic accepts; kept from one sink to the next
 * @throws if no broker responds
 */
export async function openKafkaSink(
  brokers: string[],
  security: KafkaSecurity = {},
  size = new SendSize(Number.MAX_SAFE_INTEGER),
): Promise<EventSink> {
  const kafka = kafkaClient(security, {
    clientId: "sentinel",
    brokers,
    retry: FEW_RETRIES,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
  });
  const { name, partitionCount } = await prepareTopic(kafka);
  const partitions = new TopicPartitions(kafka, partitionCount);
  let producer = await openProducer(kafka, partitions);
  let spreadOver = partitions.used;
  const renewProducer = async () => {
    await producer.disconnect();
    producer = await openProducer(kafka, partitions);
    spreadOver = partitions.used;
  };
  const send = async (events: OutgoingEvent[]): Promise<"acknowledged" | "too large"> => {
    try {
      partitions.chosen.clear();
      const answers = await producer.send({
        ...{ topic: TOPIC, acks: -1, compression: CompressionTypes.None, messages: events },
      });
      partitions.assertAnswered(answers.map(({ partition }) => partition));
      return "acknowledged";
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      // Some partitions may have accepted their part and others not, so the producer's sequence numbers no
      // longer match.
      await renewProducer();
      return "too large";
    }
  };
  return {
    name,
    partitions,
    publish: async (events) => {
      partitions.assertUsable();
      // The old producer's description of the topic may lack the new partitions.
      if (spreadOver !== partitions.used) await renewProducer();
      for (;;) {
        const part = events.slice(0, size.events);
        if ((await send(part)) === "acknowledged") {
          size.accepted();
          return part.length;
        }
        if (part.length === 1) throw tooLargeAlone(part[0]);
        size.refused(part.length);
      }
    },
    countEvents: async () => {
      const ends = await withAdmin(kafka, endsOfTopic);
      if (ends.length > 0) partitions.seen(ends.length);
      return ends.reduce((count, { high }) => count + Number(high), 0);
    },
    close: () => producer.disconnect(),
  };
}

async function openProducer(kafka: Kafka, partitions: TopicPartitions): Promise<Producer> {
  const producer = kafka.producer({
    createPartitioner: partitions.partitioner,
    idempotent: true,
    maxInFlightRequests: 1,
    retry: FEW_RETRIES,
  });
  try {
    await producer.connect();
    return producer;
  } catch (error) {
    await producer.disconnect().catch(() => undefined);
    throw error;
  }
}

/** Spreads keys, by Kafka's own hash, over the number of partitions that the sink was told to use. */
class TopicPartitions implements Partitions {
  /** The partitions of the send in progress. */
  readonly chosen = new Set<number>();
  private wanted: number;

  constructor(
    private readonly kafka: Kafka,
    private current: number,
  ) {
    this.wanted = current;
  }

  get count(): number {
    return this.current;
  }

  get used(): number {
    return this.wanted;
  }

  use(count: number): void {
    this.wanted = count;
  }

  seen(count: number): void {
    this.current = count;
  }

  /** @throws if keys belong to partitions that do not exist, since other partitions would break the order of seats */
  assertUsable(): void {
    const { current, wanted } = this;
    if (current < wanted)
      throw new Error(
        `${TOPIC} has ${current} partitions, but its events are spread over ${wanted}: give it ${wanted} partitions again, or confirm the new number (docs/operations/kafka.md)`,
      );
  }

  /**
   * Checks that every partition with events has acknowledged them. The library (kafkajs) resolves a send
   * although it omits messages in two cases: a partition is missing from its description of the topic, or a
   * partition's leader moved, between two attempts, to a broker that had already responded.
   * @throws if a partition has not acknowledged; a new sink then reads the topic's description again
   */
  assertAnswered(answered: number[]): void {
    for (const partition of this.chosen)
      if (!answered.includes(partition))
        throw new Error(`partition ${partition} of ${TOPIC} did not acknowledge its events`);
  }

  findLaggards(): Promise<string[]> {
    return withAdmin(this.kafka, findLaggards);
  }

  readonly partitioner: ICustomPartitioner = () => {
    const byKey = Partitioners.DefaultPartitioner();
    let partitionMetadata: PartitionMetadata[] = [];
    return (message) => {
      if (partitionMetadata.length !== this.wanted) {
        const [any] = message.partitionMetadata;
        partitionMetadata = Array.from({ length: this.wanted }, (_, partitionId) => ({
          ...{ partitionErrorCode: 0, leader: 0, replicas: [], isr: [], ...any, partitionId },
        }));
      }
      const partition = byKey({ ...message, partitionMetadata });
      this.chosen.add(partition);
      return partition;
    };
  };
}

const isTooLarge = (error: unknown): boolean => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return [error, cause].some((each) => each instanceof KafkaJSProtocolError && TOO_LARGE.has(each.type));
};

function tooLargeAlone(event: OutgoingEvent | undefined): Error {
  const [seatId, version] = event?.headers["ce_id"]?.split(":") ?? [];
  return new Error(
    `the event of seat ${seatId}, version ${version}, is larger than ${TOPIC} allows: raise its max.message.bytes; publishing stops at this event until then`,
  );
}

async function endsOfTopic(admin: Admin): Promise<{ partition: number; high: string }[]> {
  return (await hasTopic(admin)) ? admin.fetchTopicOffsets(TOPIC) : [];
}

/**
 * Creates the topic if it is missing.
 * @returns the sink's name and the topic's number of partitions
 */
async function prepareTopic(kafka: Kafka): Promise<{ name: string; partitionCount: number }> {
  return withAdmin(kafka, async (admin) => {
    const name = await sinkNameAt(admin);
    if (!(await hasTopic(admin))) {
      // -1: the broker's default number of replicas.
      await admin.createTopics({
        topics: [{ topic: TOPIC, numPartitions: PARTITION_COUNT, replicationFactor: -1 }],
        waitForLeaders: true,
      });
    }
    return { name, partitionCount: await readPartitionCount(admin) };
  });
}
