import { expect, setDefaultTimeout, test } from "bun:test";
import { createServer } from "node:net";
import { createDatabase } from "../fixtures/postgres.ts";
import { until } from "../fixtures/until.ts";
import { logLines, openEngine } from "./engines.ts";
import { readFigures } from "./figures.ts";

// Parts take seconds to start on a busy machine. Bun keeps this for one file only.
setDefaultTimeout(60_000);

const WAIT = { deadlineMs: 30_000 };

/** A port that takes connections and never says a word. */
async function startSilence(stack: AsyncDisposableStack): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => undefined));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(() => void server.close());
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

test("a part that has not answered yet is UNKNOWN, then DOWN, and never UP", async () => {
  await using stack = new AsyncDisposableStack();
  const database = await createDatabase();
  stack.defer(database.drop);
  const port = await startSilence(stack);
  const engine = await openEngine(stack, {
    ...{ DATABASE_URL: database.url, KAFKA_BROKERS: `127.0.0.1:${port}` },
    ...{ REDIS_URL: `redis://127.0.0.1:${port}`, REDIS_TIMEOUT_MS: "1000" },
  });
  const look = async (component: "redis" | "kafka") => {
    const { value } = await readFigures(engine.url);
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
  await until(
    async () => {
      for (const component of ["redis", "kafka"] as const) seen[component].add((await look(component))[1]);
      return seen.redis.has("DOWN") && seen.kafka.has("DOWN");
    },
    { ...WAIT, what: "both are known to be down" },
  );
  expect(seen.redis.has("UP")).toBe(false);
  expect([...seen.kafka]).toEqual(["UNKNOWN", "DOWN"]);
  expect((await look("kafka"))[2]).toBe(0);
});
