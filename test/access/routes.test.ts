import { beforeAll, describe, expect, test } from "bun:test";
import { runEngine } from "../engine/command.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { untilWithin } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import { ask, bearer, idOf, KEY, makeKey, slugOf } from "./keyed.ts";

const PATH = "/api/v1/admin/api-keys";
const sale = useEngine({ env: { LOG_LEVEL: "trace" } });
let admin: string;
/** Every secret that was made or tried here, and everything that was answered: none may be in the other. */
const secrets: string[] = [];
const answered: string[] = [];

beforeAll(async () => {
  admin = await makeKey(sale.env, "admin");
  secrets.push(admin);
});

async function as(key: string, method: string, path: string, init: RequestInit = {}) {
  const answer = await ask(sale.url, method, path, {
    ...init,
    headers: { ...bearer(key), ...Object(init.headers) },
  });
  answered.push(JSON.stringify([...answer.headers]) + (answer.status === 201 ? "" : answer.text));
  return answer;
}

const post = (key: string, body: unknown) =>
  as(key, "POST", PATH, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });

async function make(role: string, name = "made by a test") {
  const { status, headers, json } = await post(admin, { name, role });
  expect(status).toBe(201);
  expect(headers.get("cache-control")).toBe("no-store");
  const key = String(json["key"]);
  expect(key).toMatch(KEY);
  secrets.push(key);
  return { key, json };
}

describe("the routes of API keys", () => {
  test("make a key that is shown once, and kept as a hash", async () => {
    const { key, json } = await make("seller", "box office");
    expect(json).toEqual({
      keyId: idOf(key),
      name: "box office",
      role: "seller",
      createdAt: expect.stringMatching(/Z$/),
      revokedAt: null,
      key,
    });
    const rows = await sale.facts.query("select * from api_keys where id = $1", [idOf(key)]);
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows)).not.toContain(key.slice(42));
  });

  test("list keys in pages, without anything that opens", async () => {
    const made = [await make("reader"), await make("reader"), await make("reader")];
    const ids: unknown[] = [];
    for (let path = `${PATH}?limit=2`; ; ) {
      const { status, json, text } = await as(admin, "GET", path);
      expect(status).toBe(200);
      for (const secret of secrets) expect(text).not.toContain(secret.slice(42));
      expect(text).not.toMatch(/hash/i);
      const page = json["apiKeys"] as { keyId: string }[];
      expect(page.length).toBeLessThanOrEqual(2);
      ids.push(...page.map(({ keyId }) => keyId));
      if (json["next"] === null) break;
      path = `${PATH}?limit=2&after=${json["next"]}`;
    }
    expect(ids).toEqual(ids.toSorted());
    expect(ids).toEqual(expect.arrayContaining(made.map(({ key }) => idOf(key))));
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("revoke a key, which stops at once, and again without an error", async () => {
    const { key } = await make("admin");
    expect((await as(key, "GET", PATH)).status).toBe(200);
    expect((await as(admin, "DELETE", `${PATH}/${idOf(key)}`)).status).toBe(204);
    expect((await as(key, "GET", PATH)).status).toBe(401);
    expect((await as(admin, "DELETE", `${PATH}/${idOf(key)}`)).status).toBe(204);
  });

  test("know within 2 s that a key was revoked by another process, while it is used", async () => {
    const { key } = await make("admin");
    expect((await as(key, "GET", PATH)).status).toBe(200);
    expect((await runEngine(sale.env, { args: ["keys", "revoke", idOf(key)] })).exitCode).toBe(0);
    await untilWithin(2000, "the key is refused", async () => (await as(key, "GET", PATH)).status === 401);
  });

  test.each(["not-an-id", crypto.randomUUID()])("answer 404 to the id %s", async (id) => {
    const answer = await as(admin, "DELETE", `${PATH}/${id}`);
    expect([answer.status, slugOf(answer)]).toEqual([404, "api-key-not-found"]);
  });

  test.each<[unknown, string]>([
    [{}, "name: is required."],
    [{ name: "x" }, "role: is required."],
    [{ name: "x", role: "owner" }, 'role: must be one of "reader", "seller", "admin".'],
    [{ name: 7, role: "admin" }, "name: must be text."],
    [{ name: "x".repeat(201), role: "admin" }, "name: must have at most 200 characters."],
    [{ name: "a\u0000b", role: "admin" }, "name: must be plain text"],
    [{ name: "x", role: "admin", key: "mine" }, "key: is not a known field."],
    [[], "body: must be a JSON object."],
  ])("refuse %j, and name the field", async (body, detail) => {
    const answer = await post(admin, body);
    expect([answer.status, slugOf(answer)]).toEqual([400, "invalid-request"]);
    expect(answer.json["detail"]).toStartWith(detail);
  });

  test.each(["limit=0", "limit=1001", "limit=x", "after=7"])("refuse to list by %s", async (query) => {
    const answer = await as(admin, "GET", `${PATH}?${query}`);
    expect([answer.status, slugOf(answer)]).toEqual([400, "invalid-request"]);
    expect(answer.json["detail"]).toStartWith(`${query.split("=")[0]}: `);
  });
});

describe("a caller", () => {
  const routes: [string, string][] = [
    ["POST", PATH],
    ["GET", PATH],
    ["DELETE", `${PATH}/${crypto.randomUUID()}`],
  ];

  test.each(routes)(
    "without a key is answered 401 by %s %s, and told how to send one",
    async (method, path) => {
      const answer = await ask(sale.url, method, path);
      expect([answer.status, slugOf(answer)]).toEqual([401, "unauthorized"]);
      expect(answer.headers.get("www-authenticate")).toBe('Bearer realm="sentinel"');
      expect(answer.headers.get("content-type")).toBe("application/problem+json");
      expect(answer.headers.get("x-request-id")).toMatch(/\S/);
    },
  );

  test.each(routes)("of a lower role is answered 403 by %s %s", async (method, path) => {
    for (const role of ["reader", "seller"]) {
      const { key } = await make(role);
      const answer = await as(key, method, path);
      expect([answer.status, slugOf(answer)]).toEqual([403, "forbidden"]);
    }
  });

  test("with a wrong key is answered 401 everywhere, the sale's open routes too", async () => {
    const wrong = [
      "nonsense",
      `${admin}x`,
      admin.slice(0, -1),
      `sentinel_${"0".repeat(32)}_${"w".repeat(43)}`,
      admin.slice(0, 42) + "w".repeat(43),
    ];
    secrets.push(...wrong.slice(3));
    for (const key of wrong) {
      for (const path of [PATH, "/api/v1/seats/2"]) {
        const answer = await as(key, "GET", path);
        expect([path, answer.status]).toEqual([path, 401]);
        expect(answer.headers.get("www-authenticate")).toContain('error="invalid_token"');
      }
    }
  });

  test("may send the key as X-API-Key, and the scheme in any case", async () => {
    for (const headers of [{ "x-api-key": admin }, { authorization: `bearer ${admin}` }]) {
      expect((await ask(sale.url, "GET", PATH, { headers })).status).toBe(200);
    }
  });

  test("that sends credentials of another scheme counts as one without a key", async () => {
    const headers = { authorization: "Basic dXNlcjpwYXNz" };
    expect((await ask(sale.url, "GET", "/api/v1/seats/2", { headers })).status).toBe(200);
    expect((await ask(sale.url, "GET", PATH, { headers })).status).toBe(401);
  });

  test("without a key may look and take seats by default, without a limit on the reserve route", async () => {
    for (let seat = 1; seat <= 60; seat++) {
      const answer = await ask(sale.url, "POST", `/api/v1/bookings/reserve/${seat}`);
      expect(answer.status).toBe(201);
      expect(answer.headers.has("ratelimit")).toBe(false);
    }
    expect((await ask(sale.url, "GET", "/api/v1/seats/2")).status).toBe(200);
  });
});

describe("an engine", () => {
  test("tells in its document how a key is sent, and which routes need one", async () => {
    const { json } = await ask(sale.url, "GET", "/openapi.json");
    const { components, paths } = json as {
      components: { securitySchemes: object };
      paths: Record<string, Record<string, { security?: object[]; responses: object }>>;
    };
    expect(components.securitySchemes).toMatchObject({
      bearer: { type: "http", scheme: "bearer" },
      apiKey: { type: "apiKey", in: "header", name: "X-API-Key" },
    });
    for (const [path, operations] of Object.entries(paths)) {
      if (!path.startsWith("/api/v1/admin/")) continue;
      for (const { security, responses } of Object.values(operations)) {
        expect(security).toEqual([{ bearer: [] }, { apiKey: [] }]);
        expect(Object.keys(responses)).toEqual(expect.arrayContaining(["401", "403", "429"]));
      }
    }
  });

  test("counts its refusals by reason", async () => {
    const value = async (reason: string) =>
      (await readMetrics(sale.url)).value("sentinel_access_refusals_total", { reason });
    const before = await value("unauthorized");
    await ask(sale.url, "GET", PATH);
    expect(await value("unauthorized")).toBe(Number(before) + 1);
    expect(await value("rate_limited")).toBe(0);
  });

  test("says 503 for a key that it cannot look up, and then knows it, and logs the fault once", async () => {
    const { key } = await make("admin");
    const unseen = await makeKey(sale.env, "admin");
    secrets.push(unseen);
    expect((await as(key, "GET", PATH)).status).toBe(200);
    await sale.facts.query("alter table api_keys rename column key_hash to hidden");
    try {
      const answer = await as(unseen, "GET", PATH);
      expect([answer.status, slugOf(answer)]).toEqual([503, "unavailable"]);
      expect(answer.headers.get("retry-after")).toBe("1");
      // Known before: what it may do it may go on to do.
      expect((await as(key, "DELETE", `${PATH}/not-an-id`)).status).toBe(404);
    } finally {
      await sale.facts.query("alter table api_keys rename column hidden to key_hash");
    }
    await untilWithin(5000, "the key is known", async () => (await as(unseen, "GET", PATH)).status === 200);
    expect(sale.engine.output()).toContain("the database refused a query about API keys");
  });

  // The last: everything above has been said by now.
  test("has no key in its log or in any answer but the one that makes it", () => {
    expect(secrets.length).toBeGreaterThan(5);
    expect(sale.engine.output().length).toBeGreaterThan(100);
    for (const secret of secrets) {
      const hash = new Bun.CryptoHasher("sha256").update(secret).digest("hex");
      for (const said of [sale.engine.output(), ...answered]) {
        expect(said).not.toContain(secret.slice(42));
        expect(said).not.toContain(hash);
      }
    }
  });
});
