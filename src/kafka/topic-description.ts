import { Kafka, logLevel } from "kafkajs";
import { TOPIC } from "../config.ts";
import type { KafkaSecurity } from "../credentials/relations.ts";
import type { TopicDescription } from "../ledger/topic-command.ts";
import { findLaggards } from "./consumer-groups.ts";
import { connectionOf } from "./kafka-sink.ts";

const TIMEOUT_MS = 5000;
const FEW_RETRIES = { retries: 3, initialRetryTime: 200 };

/** @throws when no broker answers. */
export async function describeTopic(
  brokers: string[],
  security: KafkaSecurity = {},
): Promise<TopicDescription> {
  const kafka = new Kafka({
    clientId: "sentinel-topic",
    brokers,
    connectionTimeout: TIMEOUT_MS,
    requestTimeout: TIMEOUT_MS,
    retry: FEW_RETRIES,
    logLevel: logLevel.NOTHING,
    ...connectionOf(security),
  });
  const admin = kafka.admin();
  await admin.connect();
  try {
    const { clusterId } = await admin.describeCluster();
    const sink = `kafka:${clusterId}/${TOPIC}`;
    if (!(await admin.listTopics()).includes(TOPIC)) return { sink, partitionCount: 0, laggards: [] };
    const [topic] = (await admin.fetchTopicMetadata({ topics: [TOPIC] })).topics;
    return { sink, partitionCount: topic?.partitions.length ?? 0, laggards: await findLaggards(admin) };
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}
