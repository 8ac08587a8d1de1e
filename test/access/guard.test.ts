import { describe, expect, test } from "bun:test";
import { ApiKeys } from "../../src/access/api-keys.ts";
import { CallerIds } from "../../src/access/caller-ids.ts";
import { Guard } from "../../src/access/guard.ts";
import { RateLimits } from "../../src/access/rate-limits.ts";
import type { Batcher } from "../../src/reservations/batcher.ts";
import type { ReservationMetrics } from "../../src/reservations/reservation-metrics.ts";
import { reserveRoute } from "../../src/reservations/reserve-route.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";

const OFF = { address: 0, key: 0, reserve: 0 };

function guardOf({ limits = OFF, requireApiKey = false } = {}): Guard {
  return new Guard({
    keys: new ApiKeys(async () => []),
    limits: new RateLimits({ windowSeconds: 60, limits }),
    requireApiKey,
    trustedProxyCount: 0,
    callerIds: new CallerIds("salt"),
    connectionOf: () => "192.0.2.1",
    metrics: createMetrics(),
  });
}

const context = (headers: Record<string, string> = {}) => ({
  request: new Request("http://localhost/", { headers }),
});

describe("a guarded route", () => {
  test("is called at once, and its answer passed on as it is, where nothing is configured", () => {
    const answer = { seats: [] };
    const guarded = guardOf().guarded("seller", (_, caller) => ({ answer, caller }));
    expect(guarded(context())).toEqual({ answer, caller: { kind: "anonymous" } });
  });

  test("is not called for those who are refused", async () => {
    let calls = 0;
    const handler = () => ++calls;
    const refused = [
      await guardOf().guarded("admin", handler)(context()),
      await guardOf({ requireApiKey: true }).guarded("reader", handler)(context()),
      await guardOf().guarded("reader", handler)(context({ "x-api-key": "wrong" })),
    ];
    expect(refused.map((answer) => answer instanceof Response && answer.status)).toEqual([401, 401, 401]);
    expect(calls).toBe(0);
  });

  test("keeps its own answer, with the limit beside it", async () => {
    const guard = guardOf({ limits: { ...OFF, address: 7 } });
    const own = () => new Response("made", { status: 201, headers: { location: "/7" } });
    const answer = await guard.guarded("reader", own)(context());
    if (!(answer instanceof Response)) throw new Error("no response came");
    expect([answer.status, answer.headers.get("location"), await answer.text()]).toEqual([201, "/7", "made"]);
    expect(answer.headers.get("ratelimit")).toBe('"address";r=6;t=60');
  });

  test("that fails fails as it would without the checks", async () => {
    const failing = () => Promise.reject(new Error("broken"));
    const guard = guardOf({ limits: { ...OFF, address: 7 } });
    await expect(Promise.resolve(guard.guarded("reader", failing)(context()))).rejects.toThrow("broken");
  });
});

describe("the reserve route", () => {
  const routeWith = (guard: Guard) =>
    reserveRoute(
      {} as Batcher,
      { invalid: () => undefined } as ReservationMetrics,
      () => undefined,
      guard.beforeReserving,
    );
  const reserve = (guard: Guard) =>
    routeWith(guard).handler({ ...context(), params: { seatId: "x" }, server: null });

  test("answers without a promise while no setting asks for checks before it", async () => {
    const answer = reserve(guardOf({ limits: { ...OFF, address: 1000, key: 1000 } }));
    expect(answer).toBeInstanceOf(Response);
    for (const guard of [guardOf({ requireApiKey: true }), guardOf({ limits: { ...OFF, reserve: 5 } })])
      expect(reserve(guard)).toBeInstanceOf(Promise);
  });
});
