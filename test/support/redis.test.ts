import { expect, test } from "bun:test";
import { partOrSkip } from "./parts.ts";
import { findRedis, startRedis } from "./redis.ts";

const found = await partOrSkip("redis", findRedis);

test.skipIf(!found)("a server on a port that another one has does not count as started", async () => {
  const first = await startRedis();
  try {
    const second = startRedis(first.port).then((redis) => redis.stop());
    await expect(second).rejects.toThrow("Redis did not start");
  } finally {
    await first.stop();
  }
});
