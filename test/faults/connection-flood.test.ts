import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Engine, logLines, openEngine } from "../engine/engines.ts";
import { createDatabase } from "../support/postgres.ts";
import { until } from "../support/until.ts";
import { Attackers, figuresOf, get, post, servedDuring } from "./attackers.ts";
import { FAULT_TIMEOUT_MS, sized } from "./sizes.ts";

// Attackers, of README.md: the limit of connections, and the engine at the end of its descriptors.

setDefaultTimeout(FAULT_TIMEOUT_MS);

const LIMIT = sized(1000, 4000);
const FLOOD = LIMIT * 3;
const WORST_ANSWER_MS = 3000;
const SOON = { deadlineMs: 20_000 };
/** As many a second as the limit: whoever asks then has a second for an answer before newer ones push it out. */
const WAVE = LIMIT / 10;
const WAVE_EVERY_MS = 100;

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function openSelling(env: Record<string, string> = {}) {
  const database = await createDatabase("empty");
  stack.defer(database.drop);
  return openEngine(stack, { DATABASE_URL: database.url, RATE_LIMIT_ADDRESS_REQUESTS: "0", ...env });
}

const flood = async (attackers: Attackers, first: string) => {
  for (let opened = 0; opened < FLOOD; opened += WAVE)
    await Promise.all([attackers.open(WAVE, first), Bun.sleep(WAVE_EVERY_MS)]);
};

const limited = process.platform === "linux" ? describe : describe.skip;

limited("an engine with a CONNECTION_LIMIT", () => {
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
      const engine = await openSelling({ CONNECTION_LIMIT: String(LIMIT) });
      const attackers = new Attackers(stack, engine.url);
      const served = await servedDuring(engine.url, async () => {
        await flood(attackers, first);
        const figures = await until(
          async () => {
            const seen = await figuresOf(engine.url);
            const counted = seen.value("sentinel_http_connections") ?? 0;
            return attackers.opened - attackers.closed <= LIMIT && counted <= LIMIT && seen;
          },
          { ...SOON, what: "there are no more connections than the limit" },
        );
        expect(figures.value("sentinel_http_connection_limit")).toBe(LIMIT);
        expect(figures.value("sentinel_http_connections_closed_total", { reason })).toBeGreaterThan(0);
      });
      console.log(`connection-flood.test.ts, ${what}:`, served);
      expect(Object.keys(served.statuses)).toEqual(["200", "201"]);
      expect(served.worstMs).toBeLessThan(WORST_ANSWER_MS);
      const told = logLines(engine).filter(({ msg }) => msg === "connections are closed for want of room");
      expect(told.length).toBe(1);
    });
  }

  test("is refused more of them than it has files for", async () => {
    const fault = await openSelling({ CONNECTION_LIMIT: "1000000" }).catch(String);
    expect(fault).toContain("CONNECTION_LIMIT: 1000000 is more than three quarters of the ");
  });
});

describe.skipIf(!Bun.which("prlimit"))("an engine whose last descriptor is taken", () => {
  const DESCRIPTORS = 300;

  test("lives on, and serves again when the clients have gone", async () => {
    const engine = await openSelling();
    await limitDescriptors(engine, DESCRIPTORS);
    const attackers = new Attackers(stack, engine.url);
    await attackers.open(DESCRIPTORS * 2);
    await until(async () => (await openDescriptors(engine)) >= DESCRIPTORS - 1, {
      ...SOON,
      what: "its descriptors are all taken",
    });
    // Samples of memory and the counting of connections, which both read files, come once in 1 and 5 s.
    await Bun.sleep(6000);
    attackers.end();
    await until(async () => (await fetch(`${engine.url}/health/ready`)).status === 200, {
      ...SOON,
      what: "it serves again",
    });
    expect(engine.exitCode()).toBeUndefined();
  });
});

async function limitDescriptors({ pid }: Engine, count: number): Promise<void> {
  const limiting = Bun.spawn(["prlimit", "--pid", String(pid), `--nofile=${count}:${count}`]);
  expect(await limiting.exited).toBe(0);
}

async function openDescriptors({ pid }: Engine): Promise<number> {
  const listing = Bun.spawn(["ls", `/proc/${pid}/fd`], { stdout: "pipe" });
  return (await new Response(listing.stdout).text()).split("\n").filter((line) => line.length > 0).length;
}
