import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { partOrSkip } from "./parts.ts";
import { findRedis, type Redis, startRedis } from "./redis.ts";
import { findToxiproxy, startToxiproxy, type ToxicLink } from "./toxiproxy.ts";
import { until } from "./until.ts";

const found = (await partOrSkip("redis", findRedis)) && (await partOrSkip("toxiproxy", findToxiproxy));
const WAIT_MS = 5000;

describe.skipIf(!found)("a link through Toxiproxy", () => {
  const stack = new AsyncDisposableStack();
  let redis: Redis;
  let link: ToxicLink;

  beforeAll(async () => {
    redis = await startRedis();
    stack.defer(redis.stop);
    const toxiproxy = await startToxiproxy();
    stack.defer(toxiproxy.stop);
    link = await toxiproxy.link(redis.url);
  });
  afterAll(() => stack.disposeAsync());

  /** What became of one PING, and when. */
  const ping = () => {
    const startedAt = performance.now();
    return new Promise<{ heard: string; ms: number }>((resolve) => {
      let heard = "";
      const socket = connect(link.port, "127.0.0.1", () => socket.write("PING\r\n"));
      const end = () => {
        socket.destroy();
        resolve({ heard, ms: performance.now() - startedAt });
      };
      socket.on("data", (bytes) => {
        heard += bytes;
        if (heard.endsWith("\r\n")) end();
      });
      socket.on("error", end).on("close", end);
    });
  };

  test("passes everything, at the URL it gives", async () => {
    expect(link.url).toBe(`redis://127.0.0.1:${link.port}`);
    expect((await ping()).heard).toBe("+PONG\r\n");
  });

  test("is slow, sliced, cut short, reset or down as it is told, and well again afterwards", async () => {
    await link.add("latency", { latency: 200, jitter: 0 });
    await link.add("slicer", { average_size: 1, size_variation: 0, delay: 1000 });
    const slow = await ping();
    expect(slow.heard).toBe("+PONG\r\n");
    expect(slow.ms).toBeGreaterThan(199);
    await link.heal();
    await link.add("limit_data", { bytes: 3 });
    expect((await ping()).heard).toBe("+PO");
    await link.heal();
    await link.add("reset_peer", { timeout: 0 }, { stream: "upstream" });
    expect((await ping()).heard).toBe("");
    await link.heal();
    await link.down();
    expect((await ping()).heard).toBe("");
    await link.heal();
    await until(async () => (await ping()).heard === "+PONG\r\n", { deadlineMs: WAIT_MS, what: "an answer" });
  });
});
