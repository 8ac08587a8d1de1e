import { describe, expect, test } from "bun:test";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis } from "../fixtures/redis.ts";
import { untilWithin } from "../fixtures/until.ts";
import { openHouse, useEngine } from "../fixtures/use-engine.ts";
import { ask, bearer, makeKey, slugOf } from "./keyed.ts";

const redisFound = await partOrSkip("redis", findRedis);

/** Any route that is guarded and not the contract's. */
const ROUTE = "/api/v1/admin/api-keys";
const RESERVE = "/api/v1/bookings/reserve/2";
/** Long enough for no window to end during a test. */
const WINDOW = { RATE_LIMIT_WINDOW_SECONDS: "600" };
/** No Redis listens at this address, so each engine counts its requests by itself. */
const ALONE = { ...WINDOW, REDIS_URL: "redis://127.0.0.1:1" };

const from = (...hops: string[]) => ({ headers: { "x-forwarded-for": hops.join(", ") } });

async function statuses(count: number, request: () => Promise<{ status: number }>): Promise<number[]> {
  const seen: number[] = [];
  for (let each = 0; each < count; each++) seen.push((await request()).status);
  return seen;
}

describe("the rate limit of a client address behind a proxy", () => {
  const behindProxy = useEngine({
    env: {
      ...ALONE,
      RATE_LIMIT_ADDRESS_REQUESTS: "3",
      RATE_LIMIT_KEY_REQUESTS: "6",
      TRUSTED_PROXY_COUNT: "1",
    },
  });
  const get = (init: RequestInit, path = ROUTE) => ask(behindProxy.url, "GET", path, init);

  test("is told with every answer, and beyond it by a 429 that says when to come back", async () => {
    const client = from("192.0.2.1");
    const first = await get(client);
    expect(first.status).toBe(401);
    expect(first.headers.get("ratelimit-policy")).toBe('"address";q=3;w=600');
    expect(first.headers.get("ratelimit")).toMatch(/^"address";r=2;t=(600|59\d)$/);
    expect(await statuses(2, () => get(client))).toEqual([401, 401]);

    const refused = await get(client);
    expect([refused.status, slugOf(refused)]).toEqual([429, "rate-limited"]);
    expect(refused.headers.get("ratelimit")).toMatch(/^"address";r=0;t=\d+$/);
    expect(Number(refused.headers.get("retry-after"))).toBeWithin(590, 601);
    expect(refused.headers.get("x-request-id")).toMatch(/\S/);
    const { value } = await readMetrics(behindProxy.url);
    expect(value("sentinel_access_refusals_total", { reason: "rate_limited" })).toBe(1);

    for (const path of ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"])
      expect([path, (await get(client, path)).status]).toEqual([path, 200]);
  });

  test("bounds how many keys one can try, and leaves those that are known their own limit", async () => {
    const key = await makeKey(behindProxy.env, "admin");
    const withKey = (sent: string) => get({ headers: { ...bearer(sent), ...from("192.0.2.2").headers } });
    // The first use of a key counts for the address too.
    expect((await withKey(key)).headers.get("ratelimit")).toStartWith('"key";r=5;');
    const forged = () => `${key.slice(0, 9)}${crypto.randomUUID().replaceAll("-", "")}${key.slice(41)}`;
    expect(await statuses(3, () => withKey(forged()))).toEqual([401, 401, 429]);
    expect(await statuses(6, () => withKey(key))).toEqual([200, 200, 200, 200, 200, 429]);
  });

  test("goes by what as many proxies as are trusted have added, and never by what stood there before", async () => {
    let hop = 0;
    const forging = () => get(from(`6.6.6.${++hop}`, "192.0.2.3"));
    expect(await statuses(4, forging)).toEqual([401, 401, 401, 429]);
    expect((await get(from("192.0.2.4"))).status).toBe(401);
  });

  test("does not limit the contract's reserve route, nor the other way round", async () => {
    const client = from("192.0.2.5");
    const reserve = () => ask(behindProxy.url, "POST", RESERVE, client);
    expect(await statuses(5, reserve)).toEqual([201, 409, 409, 409, 409]);
    expect(await statuses(4, () => get(client, "/api/v1/events"))).toEqual([200, 200, 200, 429]);
    expect((await ask(behindProxy.url, "POST", "/api/v1/bookings/reserve/3", client)).status).toBe(201);
  });
});

describe("without a trusted proxy", () => {
  const open = useEngine({
    env: { ...ALONE, RATE_LIMIT_ADDRESS_REQUESTS: "2", RATE_LIMIT_RESERVE_REQUESTS: "3" },
  });

  test("the limit goes by the connection: X-Forwarded-For changes nothing", async () => {
    let hop = 0;
    const forging = () => ask(open.url, "GET", ROUTE, from(`192.0.2.${++hop}`));
    expect(await statuses(3, forging)).toEqual([401, 401, 429]);
  });

  test("the contract's reserve route has a limit of its own, and reads no body with it either", async () => {
    const broken = { body: "{", headers: { "content-type": "application/json" } };
    const first = await ask(open.url, "POST", RESERVE, broken);
    expect(first.status).toBe(201);
    expect(first.headers.get("ratelimit")).toStartWith('"reserve";r=2;');
    expect(await statuses(2, () => ask(open.url, "POST", RESERVE))).toEqual([409, 409]);
    const refused = await ask(open.url, "POST", RESERVE);
    expect([refused.status, slugOf(refused)]).toEqual([429, "rate-limited"]);
    expect(refused.headers.get("x-request-id")).toMatch(/\S/);
    const metrics = await readMetrics(open.url);
    const labels = { route: "/api/v1/bookings/reserve/:seatId", method: "POST", status: "429" };
    expect(metrics.value("sentinel_http_requests_total", labels)).toBe(1);
  });
});

describe("REQUIRE_API_KEY", () => {
  const closed = useEngine({ env: { ...ALONE, REQUIRE_API_KEY: "true" } });

  test("closes the reserve route with every other, but for probes, metrics and docs", async () => {
    const { url, env } = closed;
    const document = await ask(url, "GET", "/openapi.json");
    const paths = document.json["paths"] as Record<string, Record<string, { tags?: string[] }>>;
    const open: string[] = [];
    for (const [path, operations] of Object.entries(paths)) {
      for (const [method, { tags }] of Object.entries(operations)) {
        if (tags?.includes("Operations")) continue;
        const answer = await fetch(url + path.replace(/\{\w+\}/g, "1"), { method: method.toUpperCase() });
        // A stream would never end.
        await answer.body?.cancel();
        const { status } = answer;
        if (status !== 401) open.push(`${method} ${path}: ${status}`);
      }
    }
    expect(open).toEqual([]);

    const [reader, seller] = [await makeKey(env, "reader"), await makeKey(env, "seller")];
    const reserve = (key: string) => ask(url, "POST", RESERVE, { headers: bearer(key) });
    expect((await reserve(reader)).status).toBe(403);
    expect((await reserve(seller)).json).toMatchObject({ status: "SUCCESS", seatId: 2 });
    expect((await reserve(seller)).json).toMatchObject({ status: "TAKEN", seatId: 2 });
    expect((await ask(url, "GET", "/api/v1/seats/2", { headers: bearer(reader) })).status).toBe(200);
  });
});

describe.skipIf(!redisFound)("engines with one Redis", () => {
  test("share a limit, and each still keeps it when Redis is gone", async () => {
    await using stack = new AsyncDisposableStack();
    // A busy machine must not look like a Redis that is unavailable.
    const env = { ...WINDOW, RATE_LIMIT_ADDRESS_REQUESTS: "400", REDIS_TIMEOUT_MS: "1000" };
    const { open, redis } = await openHouse(stack, { needs: ["redis"], env });
    const one = await open();
    const two = await open();
    const remaining = async (url: string) =>
      Number(/r=(\d+)/.exec((await ask(url, "GET", ROUTE)).headers.get("ratelimit") ?? "")?.[1]);
    const shared = await untilWithin(5000, "both count in Redis", async () => {
      const [before, between, after] = [
        await remaining(one.url),
        await remaining(two.url),
        await remaining(one.url),
      ];
      return between === before - 1 && after === between - 1 && { left: after };
    });
    const rest = await Promise.all(Array.from({ length: shared.left }, () => ask(one.url, "GET", ROUTE)));
    expect(rest.filter(({ status }) => status !== 401)).toEqual([]);
    expect((await ask(two.url, "GET", ROUTE)).status).toBe(429);
    expect((await ask(one.url, "GET", ROUTE)).status).toBe(429);

    redis?.pause();
    expect((await ask(two.url, "GET", ROUTE)).status).toBe(429);
    redis?.resume();
    await redis?.kill();
    const fresh = await open({ RATE_LIMIT_ADDRESS_REQUESTS: "3" });
    expect(await statuses(4, () => ask(fresh.url, "GET", ROUTE))).toEqual([401, 401, 401, 429]);
  });
});
