import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { type Engine, logLines } from "../engine/engines.ts";
import { metricsIn } from "../engine/scraped-metrics.ts";
import { findLinux, findProgram, partOrSkip } from "../fixtures/parts.ts";
import { until } from "../fixtures/until.ts";
import { openSelling } from "../fixtures/use-engine.ts";
import { Attackers, get, metricsOf, post, servedDuring } from "./attackers.ts";
import { sized } from "./sizes.ts";

// Attackers, of README.md: the limit of connections, and the engine at the end of its descriptors.

const LIMIT = sized(500, 4000);
const FLOOD = LIMIT * 3;
const WORST_ANSWER_MS = 3000;
/** As many a second as the limit: a client then has a second for its answer before newer connections push it out. */
const WAVE = LIMIT / 10;
const WAVE_EVERY_MS = 100;

const UNLIMITED = { RATE_LIMIT_ADDRESS_REQUESTS: "0" };

const flood = async (attackers: Attackers, first: string) => {
  for (let opened = 0; opened < FLOOD; opened += WAVE)
    await Promise.all([attackers.open(WAVE, first), Bun.sleep(WAVE_EVERY_MS)]);
};

const linux = await partOrSkip("linux", findLinux);
const prlimit = await partOrSkip("prlimit", () => findProgram("prlimit"));

describe.skipIf(!linux)("an engine with a CONNECTION_LIMIT", () => {
  const floods = {
    "send nothing": { first: "", reason: "silent" },
    "ask once and stay": { first: get("/health/live"), reason: "idle" },
    "begin a request and never end it": {
      first: post("/api/v1/reservations", "content-length: 9"),
      reason: "asking",
    },
  };
  for (const [what, { first, reason }] of Object.entries(floods)) {
    test(`keeps it under a flood of clients who ${what}, and serves a normal one`, async () => {
      await using stack = new AsyncDisposableStack();
      const { engine } = await openSelling(stack, { env: { ...UNLIMITED, CONNECTION_LIMIT: String(LIMIT) } });
      const attackers = new Attackers(stack, engine.url);
      const served = await servedDuring(engine.url, async () => {
        await flood(attackers, first);
        const metrics = await until("there are no more connections than the limit", async () => {
          const seen = await metricsOf(engine.url);
          const counted = seen.value("sentinel_http_connections") ?? 0;
          return attackers.opened - attackers.closed <= LIMIT && counted <= LIMIT && seen;
        });
        expect(metrics.value("sentinel_http_connection_limit")).toBe(LIMIT);
        expect(metrics.value("sentinel_http_connections_closed_total", { reason })).toBeGreaterThan(0);
      });
      console.log(`connection-flood.test.ts, ${what}:`, served);
      expect(Object.keys(served.statuses)).toEqual(["200", "201"]);
      expect(served.worstMs).toBeLessThan(WORST_ANSWER_MS);
      const told = logLines(engine).filter(
        ({ msg }) => msg === "connections are closed because there are too many",
      );
      expect(told.length).toBe(1);
    });
  }

  test("is refused more of them than it has files for", async () => {
    await using stack = new AsyncDisposableStack();
    const fault = await openSelling(stack, { env: { CONNECTION_LIMIT: "1000000" } }).catch(String);
    expect(fault).toContain("CONNECTION_LIMIT: 1000000 is more than three quarters of the ");
  });
});

describe.skipIf(!prlimit)("an engine whose last descriptor is taken", () => {
  const DESCRIPTORS = 300;
  /**
   * Of the thread that takes connections. Its timers read files, which ended it once: samples of memory come every
   * second, the counting of connections every 5 s, and no thread uses seconds faster than they go by.
   */
  const USED_SECONDS = 5;

  test("lives on, answers and counts those who are connected, and serves again when the clients have gone", async () => {
    await using stack = new AsyncDisposableStack();
    const { engine } = await openSelling(stack);
    await limitDescriptors(engine, DESCRIPTORS);
    const connected = await connectedTo(stack, engine);
    const attackers = new Attackers(stack, engine.url);
    await attackers.open(DESCRIPTORS * 2);
    await until(
      "its descriptors are all taken",
      async () => (await openDescriptors(engine)) >= DESCRIPTORS - 1,
    );
    const usedBefore = await mainThreadSeconds(engine);
    await until("its timers have run without a descriptor", async () => {
      if (engine.exitCode() !== undefined) return true;
      const counted = (await connected.metrics()).value("sentinel_http_connections") ?? 0;
      return counted > DESCRIPTORS / 2 && (await mainThreadSeconds(engine)) - usedBefore > USED_SECONDS;
    });
    expect(engine.exitCode()).toBeUndefined();
    attackers.end();
    await until("it serves again", async () => (await fetch(`${engine.url}/health/ready`)).status === 200);
    expect(engine.exitCode()).toBeUndefined();
  });
});

async function limitDescriptors({ pid }: Engine, count: number): Promise<void> {
  const limiting = Bun.spawn(["prlimit", "--pid", String(pid), `--nofile=${count}:${count}`]);
  expect(await limiting.exited).toBe(0);
}

/** A client who came while there was room, and reads metrics on the same connection again and again. */
async function connectedTo(stack: AsyncDisposableStack, { url }: Engine) {
  const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1" });
  stack.defer(() => void socket.destroy());
  let answer = "";
  socket.on("data", (bytes) => {
    answer += bytes;
  });
  socket.on("error", () => undefined);
  const metrics = async () => {
    answer = "";
    socket.write(get("/metrics"));
    const body = await until("a client who stays is answered", () => wholeBodyOf(answer));
    return metricsIn(body);
  };
  await metrics();
  return { metrics };
}

/** Of an answer whose head tells its length, once all of it is there. */
function wholeBodyOf(answer: string): string | undefined {
  const [head = "", body = ""] = answer.split("\r\n\r\n");
  const bytes = /^content-length: (\d+)$/im.exec(head.replaceAll("\r", ""))?.[1];
  return bytes !== undefined && Buffer.byteLength(body) >= Number(bytes) ? body : undefined;
}

/** Of processor time; the first thread of a process has its id. */
async function mainThreadSeconds({ pid }: Engine): Promise<number> {
  const stat = await Bun.file(`/proc/${pid}/task/${pid}/stat`).text();
  // After the name, which is in brackets: user and system time are the 14th and 15th of all, in 10 ms.
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11);
  return (Number(user) + Number(system)) / 100;
}

async function openDescriptors({ pid }: Engine): Promise<number> {
  const listing = Bun.spawn(["ls", `/proc/${pid}/fd`], { stdout: "pipe" });
  return (await new Response(listing.stdout).text()).split("\n").filter((line) => line.length > 0).length;
}
