import type { Admin } from "kafkajs";
import { TOPIC } from "../../config/config.ts";

/** Kafka's offset for a partition without a committed offset of the group. */
const NOTHING_COMMITTED = -1;

/**
 * Finds the consumer groups that have not read everything in the topic. It cannot see consumers that store
 * their offsets elsewhere.
 */
export async function findLaggards(admin: Admin): Promise<string[]> {
  const ends = new Map(
    (await admin.fetchTopicOffsets(TOPIC)).map(({ partition, high, low }) => [
      partition,
      { high: Number(high), low: Number(low) },
    ]),
  );
  const laggards: string[] = [];
  const { groups } = await admin.listGroups();
  for (const { groupId, protocolType } of groups) {
    if (protocolType !== "consumer" && protocolType !== "") continue;
    const [topic] = await admin.fetchOffsets({ groupId, topics: [TOPIC] });
    const places = (topic?.partitions ?? []).map(({ partition, offset }) => ({
      partition,
      offset: Number(offset),
    }));
    // This group reads another topic.
    if (places.every(({ offset }) => offset === NOTHING_COMMITTED)) continue;
    const isBehind = places.some(({ partition, offset }) => {
      const { high, low } = ends.get(partition) ?? { high: 0, low: 0 };
      return high > low && offset < high;
    });
    if (isBehind) laggards.push(groupId);
  }
  return laggards;
}
