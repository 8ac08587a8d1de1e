import type { Admin, Kafka } from "kafkajs";
import { TOPIC } from "../../config/config.ts";
import type { KafkaSecurity } from "../../config/credential-relations.ts";
import { hasTopic, kafkaClient, sinkNameAt } from "../../ledger/sinks/kafka-client.ts";
import type { EventStore, StoredEvent } from "./event-store.ts";

const TIMEOUT_MS = 5000;
/** Less than the limit of silence, so that the client's own error comes first. */
const REQUEST_TIMEOUT_MS = 20_000;
/** Longest time without a message before the topic's end; after that, something is wrong with the brokers. */
const SILENCE_LIMIT_MS = 30_000;
const FEW_RETRIES = { retries: 3, initialRetryTime: 200 };
const CLOSE_LIMIT_MS = 5000;
const BYTES_PER_FETCH = 8 << 20;

/** The end of each partition: the offset after its last message. */
type Ends = Map<number, number>;

/**
 * Opens the topic for `verify`. It is read once, from its start to its end at that moment, in a separate
 * consumer group that commits nothing and is removed afterwards.
 * @throws if no broker responds; a missing topic is empty
 */
export async function openTopicReader(brokers: string[], security: KafkaSecurity = {}): Promise<EventStore> {
  const kafka = kafkaClient(security, {
    clientId: "sentinel-verify",
    brokers,
    retry: FEW_RETRIES,
    connectionTimeout: TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
  });
  const admin = kafka.admin();
  await admin.connect();
  try {
    const sink = await sinkNameAt(admin);
    const { ends: settled, removedCount } = await offsetsOf(admin);
    return {
      sink,
      removedCount,
      read: async (visit) => readToEnd(kafka, admin, (await offsetsOf(admin)).ends, settled, visit),
      close: () => admin.disconnect(),
    };
  } catch (error) {
    await admin.disconnect().catch(() => undefined);
    throw error;
  }
}

async function offsetsOf(admin: Admin): Promise<{ ends: Ends; removedCount: number }> {
  const ends: Ends = new Map();
  let removedCount = 0;
  if (!(await hasTopic(admin))) return { ends, removedCount };
  for (const { partition, high, low } of await admin.fetchTopicOffsets(TOPIC)) {
    removedCount += Number(low);
    if (Number(high) > Number(low)) ends.set(partition, Number(high));
  }
  return { ends, removedCount };
}

async function readToEnd(
  kafka: Kafka,
  admin: Admin,
  ends: Ends,
  settled: Ends,
  visit: (events: StoredEvent[]) => Promise<void>,
): Promise<void> {
  if (ends.size === 0) return;
  const groupId = `sentinel-verify-${crypto.randomUUID()}`;
  const consumer = kafka.consumer({
    groupId,
    maxBytes: BYTES_PER_FETCH,
    maxBytesPerPartition: BYTES_PER_FETCH,
  });
  const unread = new Set(ends.keys());
  const over = Promise.withResolvers<void>();
  // Awaited only after the consumer runs, so an earlier rejection must not count as unhandled.
  over.promise.catch(() => undefined);
  const silence = setTimeout(
    () => over.reject(new Error(`Kafka has sent nothing of ${TOPIC} for ${SILENCE_LIMIT_MS / 1000} s`)),
    SILENCE_LIMIT_MS,
  );
  // A broker that has just started has no coordinator for the group yet, and the consumer restarts by itself.
  // After it has read something, a restart would read that twice.
  let hasRead = false;
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (hasRead || !payload.restart) over.reject(payload.error);
  });
  try {
    await consumer.connect();
    await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch, heartbeat }) => {
        const { partition, messages } = batch;
        const end = ends.get(partition) ?? 0;
        silence.refresh();
        hasRead = true;
        const events = messages
          .filter(({ offset }) => Number(offset) < end)
          .map((message) => storedEvent(partition, message, settled.get(partition) ?? 0));
        await visit(events).catch(over.reject);
        await heartbeat();
        if (Number(batch.lastOffset()) + 1 >= end) unread.delete(partition);
        if (unread.size === 0) over.resolve();
      },
    });
    await over.promise;
  } finally {
    clearTimeout(silence);
    const left = consumer.disconnect().then(() => admin.deleteGroups([groupId]));
    await Promise.race([left, Bun.sleep(CLOSE_LIMIT_MS)]).catch(() => undefined);
  }
}

interface Message {
  offset: string;
  key: Buffer | null;
  value: Buffer | null;
  headers?: Record<string, Buffer | string | (Buffer | string)[] | undefined>;
}

function storedEvent(partition: number, message: Message, settledEnd: number): StoredEvent {
  const headers = Object.fromEntries(
    Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]),
  );
  return {
    ...{ key: String(message.key ?? ""), value: String(message.value ?? ""), headers },
    place: `partition ${partition}, offset ${message.offset}`,
    isSettled: Number(message.offset) < settledEnd,
  };
}
