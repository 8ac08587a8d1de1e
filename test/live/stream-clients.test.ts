import { beforeAll, expect, test } from "bun:test";
import { idOf } from "../access/keyed.ts";
import type { Engine } from "../engine/engines.ts";
import { openTheatre, type Theatre } from "../engine/reservations.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { useStack } from "../fixtures/stack.ts";
import { until, untilWithin } from "../fixtures/until.ts";
import { type Listener, listen } from "./listener.ts";

/** The promise, and what a busy machine may add to what is seen from outside. */
const ENDS_WITHIN_MS = 2000 + 1000;
const LIMIT_STREAMS = 30;
/** The default: a tenth. */
const SHARE_STREAMS = 3;

const stack = useStack();
let theatre: Theatre;
let engine: Engine;
/** A second engine on the same database. */
let other: Engine;
let eventId: number;

beforeAll(async () => {
  theatre = await openTheatre(stack);
  ({ eventId } = await theatre.addEvent({ rows: 1 }));
  const env = {
    CHANGE_STREAM_LIMIT: String(LIMIT_STREAMS),
    TRUSTED_PROXY_COUNT: "1",
  };
  engine = await theatre.openEngine(env);
  other = await theatre.openEngine(env);
});

const from = (network: string) => ({ "x-forwarded-for": network });

async function listenWith(headers: Record<string, string>): Promise<Listener> {
  const listener = await listen(engine.url, { eventId, headers });
  stack.defer(listener.cut);
  return listener;
}

test("a stream ends within 2 s after its key was revoked, by whichever process; all others go on", async () => {
  const key = await theatre.key("reader");
  const revoked = await listenWith(key);
  const others = [await listenWith(await theatre.key("reader")), await listenWith(from("192.0.2.1"))];
  expect(revoked.status).toBe(200);
  await revoked.hears(1, "ready");

  const keyId = idOf(key["authorization"]?.replace("Bearer ", "") ?? "");
  await theatre.facts.query("update api_keys set revoked_at = now() where id = $1", [keyId]);
  await untilWithin(ENDS_WITHIN_MS, "the stream has ended", () => revoked.hasEnded());
  expect(revoked.heard.at(-1)).toMatchObject({ event: "closing", data: { reason: "key-revoked" } });
  expect((await listenWith(key)).status).toBe(401);

  const [seatId] = (await theatre.facts.query<{ id: string }>("select min(id) as id from seats")).map(
    ({ id }) => id,
  );
  await fetch(`${engine.url}/api/v1/bookings/reserve/${seatId}`, { method: "POST" });
  for (const other of others) await other.hears(1);
});

test("streams end within 2 s after their caller is denied, a key or a network, by whichever engine", async () => {
  const admin = await theatre.key("admin");
  const shop = await theatre.key("reader");
  const deniedKey = idOf(shop["authorization"]?.replace("Bearer ", "") ?? "");
  const denied = [
    await listenWith(shop),
    await listenWith(from("203.0.113.7")),
    await listenWith(from("::ffff:cb00:7108")),
    await listenWith(from("2001:db8:7::1")),
  ];
  const others = [
    await listenWith({ ...from("203.0.113.7"), ...(await theatre.key("reader")) }),
    await listenWith(from("203.0.114.7")),
  ];
  for (const listener of [...denied, ...others]) await listener.hears(1, "ready");

  // Of the last two this engine learns from the database only.
  for (const [index, caller] of [
    { caller: `key:${deniedKey}` },
    { network: "203.0.113.0/24" },
    { network: "2001:db8:7::/48" },
  ].entries()) {
    const made = await fetch(`${index === 0 ? engine.url : other.url}/api/v1/admin/denials`, {
      method: "POST",
      headers: { ...admin, "content-type": "application/json" },
      body: JSON.stringify({ ...caller, seconds: 600, reason: "hoards" }),
    });
    expect(made.status).toBe(201);
  }
  await untilWithin(ENDS_WITHIN_MS, "the streams of denied callers have ended", () =>
    denied.every((listener) => listener.hasEnded()),
  );
  for (const { heard } of denied)
    expect(heard.at(-1)).toMatchObject({ event: "closing", data: { reason: "caller-denied" } });
  expect((await listenWith(shop)).status).toBe(403);
  expect((await listenWith(from("2001:db8:7:9::1"))).status).toBe(403);
  expect(others.map((listener) => listener.hasEnded())).toEqual([false, false]);
});

test("one network or key has a share of all streams, and others still get in when it has used that up", async () => {
  const greedy = from("198.51.100.7");
  const streams: Listener[] = [];
  for (let count = 0; count < SHARE_STREAMS; count++) streams.push(await listenWith(greedy));
  expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 200));
  const refused = await listenWith(greedy);
  expect([refused.status, (await refused.problem()).type]).toEqual([
    429,
    "urn:sentinel:problem:too-many-streams",
  ]);
  expect(refused.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);

  expect((await listenWith(from("198.51.100.8"))).status).toBe(200);
  // The key is its own client, wherever it comes from.
  expect((await listenWith({ ...greedy, ...(await theatre.key("reader")) })).status).toBe(200);

  await streams[0]?.cut();
  await until("there is room again", async () => (await listenWith(greedy)).status === 200);
  expect((await readMetrics(engine.url)).value("sentinel_change_streams")).toBeLessThan(LIMIT_STREAMS);
});
