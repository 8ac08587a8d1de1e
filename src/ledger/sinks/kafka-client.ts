import { type Admin, Kafka, type KafkaConfig, logLevel, type SASLOptions } from "kafkajs";
import { TOPIC } from "../../config/config.ts";
import type { KafkaSecurity } from "../../config/credential-relations.ts";

/**
 * Returns a client that logs nothing; its callers report errors. With TLS it verifies the broker's
 * certificate and name.
 */
export function kafkaClient(
  { tls, sasl }: KafkaSecurity,
  config: Pick<KafkaConfig, "clientId" | "brokers" | "connectionTimeout" | "requestTimeout" | "retry">,
): Kafka {
  return new Kafka({
    ...config,
    logLevel: logLevel.NOTHING,
    ...(tls && { ssl: { ...tls } }),
    // kafkajs types one form per mechanism, all with the same fields.
    ...(sasl && { sasl: sasl as SASLOptions }),
  });
}

/** Returns the name under which the sink's cursor is stored. */
export async function sinkNameAt(admin: Admin): Promise<string> {
  const { clusterId } = await admin.describeCluster();
  return `kafka:${clusterId}/${TOPIC}`;
}

export const hasTopic = async (admin: Admin): Promise<boolean> => (await admin.listTopics()).includes(TOPIC);

/** @throws if the brokers do not describe the topic */
export async function readPartitionCount(admin: Admin): Promise<number> {
  const [topic] = (await admin.fetchTopicMetadata({ topics: [TOPIC] })).topics;
  if (!topic) throw new Error(`the brokers do not describe ${TOPIC}`);
  return topic.partitions.length;
}

/** Runs `work` on a separate connection and closes it afterwards. */
export async function withAdmin<Result>(
  kafka: Kafka,
  work: (admin: Admin) => Promise<Result>,
): Promise<Result> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}
