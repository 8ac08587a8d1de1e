import { beforeAll, describe, expect, test } from "bun:test";
import { useEngine } from "../fixtures/use-engine.ts";
import { ask, bearer, idOf, makeKey, slugOf } from "./keyed.ts";

const PATH = "/api/v1/admin/log";
const sale = useEngine();
let admin: string;

beforeAll(async () => {
  admin = await makeKey(sale.env, "admin");
});

const as = (key: string, method: string, path: string, headers = {}, body?: unknown) =>
  ask(sale.url, method, path, {
    headers: {
      ...bearer(key),
      ...headers,
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });

const acts = async (query = "") => {
  const { status, json } = await as(admin, "GET", PATH + query);
  expect(status).toBe(200);
  return json as {
    acts: { actId: number; kind: string; actor: string; reason: string | null }[];
    next: number;
  };
};

describe("the administration log", () => {
  test("names actor, time and reason of every act, in pages", async () => {
    const reason = { "x-admin-reason": "box office opens" };
    const made = await as(admin, "POST", "/api/v1/admin/api-keys", reason, { name: "till", role: "seller" });
    expect(made.status).toBe(201);
    const seller = String(made.json["key"]);
    expect((await as(admin, "POST", "/api/v1/admin/events/1/close")).status).toBe(200);
    expect((await as(admin, "PATCH", "/api/v1/admin/events/1", {}, { name: "Renamed" })).status).toBe(200);
    expect((await as(admin, "DELETE", `/api/v1/admin/api-keys/${idOf(seller)}`)).status).toBe(204);
    // Revoked already: nothing is done, and nothing is logged.
    expect((await as(admin, "DELETE", `/api/v1/admin/api-keys/${idOf(seller)}`)).status).toBe(204);

    const key = { actor: `key:${idOf(admin)}`, reason: null };
    const first = await acts("?limit=2");
    expect(first.acts).toMatchObject([
      {
        kind: "api-key.created",
        // By name, or by number where the name is not known.
        actor: expect.stringMatching(/^command:(?!unknown$)./),
        reason: null,
        detail: { keyId: idOf(admin), role: "admin" },
      },
      { kind: "api-key.created", ...key, reason: "box office opens", detail: { keyId: idOf(seller) } },
    ]);
    const rest = await acts(`?after=${first.next}`);
    expect(rest.acts).toMatchObject([
      {
        kind: "event.closed",
        ...key,
        detail: { eventId: 1 },
        occurredAt: expect.stringMatching(/^\d{4}-.*Z$/),
      },
      { kind: "event.changed", ...key, detail: { eventId: 1, change: { name: "Renamed" } } },
      { kind: "api-key.revoked", ...key, detail: { keyId: idOf(seller) } },
    ]);
    expect(rest.next).toBeNull();
    expect((await acts("?kind=event.closed")).acts).toHaveLength(1);
  });

  test("is for administrators alone, and a reason that cannot be kept changes nothing", async () => {
    const made = await as(admin, "POST", "/api/v1/admin/api-keys", {}, { name: "eyes", role: "reader" });
    expect((await as(String(made.json["key"]), "GET", PATH)).status).toBe(403);
    expect((await ask(sale.url, "GET", PATH)).status).toBe(401);
    const before = (await acts("?kind=event.opened")).acts;
    const refused = await as(admin, "POST", "/api/v1/admin/events/1/open", {
      "x-admin-reason": "x".repeat(501),
    });
    expect([refused.status, slugOf(refused)]).toEqual([400, "invalid-request"]);
    expect((await acts("?kind=event.opened")).acts).toEqual(before);
    expect((await as(admin, "GET", `${PATH}?limit=0`)).status).toBe(400);
  });
});
