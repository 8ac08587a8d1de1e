import type { KafkaSecurity } from "../../config/credential-relations.ts";
import type { TopicDescription } from "../topic-command.ts";
import { findLaggards } from "./consumer-groups.ts";
import { hasTopic, kafkaClient, readPartitionCount, sinkNameAt, withAdmin } from "./kafka-client.ts";

const TIMEOUT_MS = 5000;
const FEW_RETRIES = { retries: 3, initialRetryTime: 200 };

/** @throws if no broker responds */
export function describeTopic(brokers: string[], security: KafkaSecurity = {}): Promise<TopicDescription> {
  const kafka = kafkaClient(security, {
    clientId: "sentinel-topic",
    brokers,
    retry: FEW_RETRIES,
    connectionTimeout: TIMEOUT_MS,
    requestTimeout: TIMEOUT_MS,
  });
  return withAdmin(kafka, async (admin) => {
    const sink = await sinkNameAt(admin);
    if (!(await hasTopic(admin))) return { sink, partitionCount: 0, laggards: [] };
    return { sink, partitionCount: await readPartitionCount(admin), laggards: await findLaggards(admin) };
  });
}
