import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { openEngine } from "../engine/engines.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { openDatabase } from "../fixtures/postgres.ts";
import { findRedis, startRedis } from "../fixtures/redis.ts";
import { untilWithin } from "../fixtures/until.ts";
import { ask, bearer, makeKey, slugOf } from "./keyed.ts";

const redisFound = await partOrSkip("redis", findRedis);

/** Any route that is guarded and not the contract's. */
const ROUTE = "/api/v1/admin/api-keys";
const RESERVE = "/api/v1/bookings/reserve/2";
/** Long enough for no window to end during a test. */
const WINDOW = { RATE_LIMIT_WINDOW_SECONDS: "600" };

let stack: AsyncDisposableStack;
let env: Record<string, string>;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const database = await openDatabase(stack, "empty");
  // Nobody listens there: each engine counts for itself.
  env = { DATABASE_URL: database.url, REDIS_URL: "redis://127.0.0.1:1", ...WINDOW };
});
afterEach(() => stack.disposeAsync());

const from = (...hops: string[]) => ({ headers: { "x-forwarded-for": hops.join(", ") } });

async function statuses(count: number, request: () => Promise<{ status: number }>): Promise<number[]> {
  const seen: number[] = [];
  for (let each = 0; each < count; each++) seen.push((await request()).status);
  return seen;
}

describe("the rate limit of a client address", () => {
  test("is told with every answer, and beyond it by a 429 that says when to come back", async () => {
    const { url } = await openEngine(stack, { ...env, RATE_LIMIT_ADDRESS_REQUESTS: "3" });
    const first = await ask(url, "GET", ROUTE);
    expect(first.status).toBe(401);
    expect(first.headers.get("ratelimit-policy")).toBe('"address";q=3;w=600');
    expect(first.headers.get("ratelimit")).toMatch(/^"address";r=2;t=(600|59\d)$/);
    expect(await statuses(2, () => ask(url, "GET", ROUTE))).toEqual([401, 401]);

    const refused = await ask(url, "GET", ROUTE);
    expect([refused.status, slugOf(refused)]).toEqual([429, "rate-limited"]);
    expect(refused.headers.get("ratelimit")).toMatch(/^"address";r=0;t=\d+$/);
    expect(Number(refused.headers.get("retry-after"))).toBeWithin(590, 601);
    expect(refused.headers.get("x-request-id")).toMatch(/\S/);
    expect((await readMetrics(url)).value("sentinel_access_refusals_total", { reason: "rate_limited" })).toBe(
      1,
    );
  });

  test("bounds how many keys one can try, and leaves those that are known their own limit", async () => {
    const limited = { ...env, RATE_LIMIT_ADDRESS_REQUESTS: "4", RATE_LIMIT_KEY_REQUESTS: "6" };
    const { url } = await openEngine(stack, limited);
    const key = await makeKey(env, "admin");
    const withKey = (sent: string) => ask(url, "GET", ROUTE, { headers: bearer(sent) });
    // The first use of a key counts for the address too.
    expect((await withKey(key)).headers.get("ratelimit")).toStartWith('"key";r=5;');
    const forged = () => `${key.slice(0, 9)}${crypto.randomUUID().replaceAll("-", "")}${key.slice(41)}`;
    expect(await statuses(4, () => withKey(forged()))).toEqual([401, 401, 401, 429]);
    expect(await statuses(6, () => withKey(key))).toEqual([200, 200, 200, 200, 200, 429]);
  });

  test("goes by the connection: X-Forwarded-For changes nothing by default", async () => {
    const { url } = await openEngine(stack, { ...env, RATE_LIMIT_ADDRESS_REQUESTS: "2" });
    let hop = 0;
    expect(await statuses(3, () => ask(url, "GET", ROUTE, from(`192.0.2.${++hop}`)))).toEqual([
      401, 401, 429,
    ]);
  });

  test("goes by what as many proxies as are trusted have added, and never by what stood there before", async () => {
    const trusting = { ...env, RATE_LIMIT_ADDRESS_REQUESTS: "2", TRUSTED_PROXY_COUNT: "1" };
    const { url } = await openEngine(stack, trusting);
    let hop = 0;
    const forging = () => ask(url, "GET", ROUTE, from(`6.6.6.${++hop}`, "192.0.2.1"));
    expect(await statuses(3, forging)).toEqual([401, 401, 429]);
    expect((await ask(url, "GET", ROUTE, from("192.0.2.2"))).status).toBe(401);
  });

  test("does not touch probes, metrics and docs", async () => {
    const { url } = await openEngine(stack, { ...env, RATE_LIMIT_ADDRESS_REQUESTS: "1" });
    await ask(url, "GET", ROUTE);
    for (const path of ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"]) {
      expect([path, (await ask(url, "GET", path)).status]).toEqual([path, 200]);
    }
  });
});

describe("the contract's reserve route", () => {
  test("has a limit of its own where one is set, and reads no body with it either", async () => {
    const { url } = await openEngine(stack, { ...env, RATE_LIMIT_RESERVE_REQUESTS: "3" });
    const broken = { body: "{", headers: { "content-type": "application/json" } };
    const first = await ask(url, "POST", RESERVE, broken);
    expect(first.status).toBe(201);
    expect(first.headers.get("ratelimit")).toStartWith('"reserve";r=2;');
    expect(await statuses(2, () => ask(url, "POST", RESERVE))).toEqual([409, 409]);
    const refused = await ask(url, "POST", RESERVE);
    expect([refused.status, slugOf(refused)]).toEqual([429, "rate-limited"]);
    expect(refused.headers.get("x-request-id")).toMatch(/\S/);
    const metrics = await readMetrics(url);
    const labels = { route: "/api/v1/bookings/reserve/:seatId", method: "POST", status: "429" };
    expect(metrics.value("sentinel_http_requests_total", labels)).toBe(1);
  });

  test("is limited by nothing else, whatever limits the other routes", async () => {
    const { url } = await openEngine(stack, {
      ...env,
      ...{ RATE_LIMIT_ADDRESS_REQUESTS: "3", TRUSTED_PROXY_COUNT: "1" },
    });
    const client = from("192.0.2.1");
    expect(await statuses(5, () => ask(url, "POST", RESERVE, client))).toEqual([201, 409, 409, 409, 409]);
    expect(await statuses(4, () => ask(url, "GET", "/api/v1/events", client))).toEqual([200, 200, 200, 429]);
    expect((await ask(url, "POST", "/api/v1/bookings/reserve/3", client)).status).toBe(201);
  });

  test("is closed with every other route by REQUIRE_API_KEY, but for probes, metrics and docs", async () => {
    const { url } = await openEngine(stack, { ...env, REQUIRE_API_KEY: "true" });
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
    const redis = await startRedis();
    stack.defer(redis.stop);
    const limited = {
      ...{ ...env, REDIS_URL: redis.url, RATE_LIMIT_ADDRESS_REQUESTS: "400" },
      // So that a busy machine does not look like a Redis that is away.
      REDIS_TIMEOUT_MS: "1000",
    };
    const one = await openEngine(stack, limited);
    const two = await openEngine(stack, limited);
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

    redis.pause();
    expect((await ask(two.url, "GET", ROUTE)).status).toBe(429);
    redis.resume();
    await redis.kill();
    const fresh = await openEngine(stack, { ...limited, RATE_LIMIT_ADDRESS_REQUESTS: "3" });
    expect(await statuses(4, () => ask(fresh.url, "GET", ROUTE))).toEqual([401, 401, 401, 429]);
  });
});
