import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { until } from "../fixtures/until.ts";
import { openSelling } from "../fixtures/use-engine.ts";
import { reserve } from "./buyers.ts";
import { logLines, strayLines } from "./engines.ts";
import { readMetrics } from "./scraped-metrics.ts";

/** A port that takes connections and never says a word. */
async function startSilence(stack: AsyncDisposableStack): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => undefined));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(() => void server.close());
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

test("parts that take connections and never answer are UNKNOWN, then DOWN, and the engine sells", async () => {
  await using stack = new AsyncDisposableStack();
  const silent = `127.0.0.1:${await startSilence(stack)}`;
  const { engine } = await openSelling(stack, {
    env: { KAFKA_BROKERS: silent, REDIS_URL: `redis://${silent}`, REDIS_TIMEOUT_MS: "1000" },
  });
  const look = async (component: "redis" | "kafka") => {
    const { value } = await readMetrics(engine.url);
    const health = (await (await fetch(`${engine.url}/actuator/health`)).json()) as {
      status: string;
      components: Record<string, { status: string }>;
    };
    const up = value("sentinel_component_up", { component });
    return [health.status, health.components[component]?.status, up];
  };
  expect(await look("kafka")).toEqual(["UP", "UNKNOWN", undefined]);
  const ready = logLines(engine).find(({ msg }) => msg === "ready");
  expect(ready?.redis).toMatch(/: (UNKNOWN|DOWN)/);
  expect(ready?.kafka).toContain(": UNKNOWN");

  const seen = { redis: new Set<unknown>(), kafka: new Set<unknown>() };
  await until("both are known to be down", async () => {
    for (const component of ["redis", "kafka"] as const) seen[component].add((await look(component))[1]);
    return seen.redis.has("DOWN") && seen.kafka.has("DOWN");
  });
  expect(seen.redis.has("UP")).toBe(false);
  expect([...seen.kafka]).toEqual(["UNKNOWN", "DOWN"]);
  expect((await look("kafka"))[2]).toBe(0);
  expect((await reserve(engine.url, 3)).status).toBe(201);
  expect(await engine.stop()).toBe(0);
  expect(strayLines(engine)).toEqual([]);
});
