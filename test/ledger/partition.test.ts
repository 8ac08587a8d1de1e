import { expect, test } from "bun:test";
import { Partitioners } from "kafkajs";

/** Of Kafka's own tests (`UtilsTest.testMurmur2`): consumers of other clients find a seat's events by the same hash. */
const HASHES: Record<string, number> = {
  "21": -973_932_308,
  foobar: -790_332_482,
  "a-little-bit-long-string": -985_981_536,
  "a-little-bit-longer-string": -1_486_304_829,
  lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58_897_971,
};
const PARTITION_COUNT = 1_000_003;

test("a key goes to the partition that Kafka's own clients would choose", () => {
  const partition = Partitioners.DefaultPartitioner();
  const partitionMetadata = Array.from({ length: PARTITION_COUNT }, (_, partitionId) => ({
    ...{ partitionErrorCode: 0, partitionId, leader: 1, replicas: [1], isr: [1] },
  }));
  for (const [key, hash] of Object.entries(HASHES)) {
    const chosen = partition({ topic: "t", partitionMetadata, message: { key, value: null } });
    expect([key, chosen]).toEqual([key, (hash & 0x7fffffff) % PARTITION_COUNT]);
  }
});
