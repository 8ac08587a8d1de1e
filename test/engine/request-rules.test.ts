import { beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { makeKey } from "../access/keyed.ts";
import { freePort } from "../fixtures/free-port.ts";
import { findNginx, startNginxWith } from "../fixtures/load-balancers.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { openDatabase } from "../fixtures/postgres.ts";
import { useStack } from "../fixtures/stack.ts";
import { reserve, reservePath } from "./buyers.ts";
import { type Engine, openEngine } from "./engines.ts";
import { type Facts, openFacts } from "./facts.ts";

const SHOP = "https://shop.example";
const BODY_LIMIT_BYTES = 4096;
const LARGE_BODY = "x".repeat(3 * 1024 * 1024);

let engine: Engine;
/** The same database, with SHOP allowed. */
let open: Engine;
let facts: Facts;
let managementUrl: string;
let key: string;
let nextSeat = 1;
const stack = useStack();

beforeAll(async () => {
  const database = await openDatabase(stack, "empty");
  const managementPort = await freePort();
  managementUrl = `http://127.0.0.1:${managementPort}`;
  const env = { DATABASE_URL: database.url, BODY_LIMIT_BYTES: String(BODY_LIMIT_BYTES) };
  engine = await openEngine(stack, { ...env, MANAGEMENT_PORT: String(managementPort) });
  open = await openEngine(stack, { ...env, CORS_ORIGINS: SHOP });
  facts = await openFacts(stack, database.url);
  key = await makeKey(env, "admin");
});

/** The bytes that come back for a request as it stands, until the engine closes. */
function exchange(url: string, target: string, headers: string[], version = "1.1", method = "GET") {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    socket.on("error", reject);
    socket.on("close", () => resolve({ status: Number(text.split(" ")[1]), text }));
    const lines = [`${method} ${target} HTTP/${version}`, ...headers, "Connection: close"];
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  });
}

const seatsSold = async () =>
  (await facts.query<{ count: number }>("select count(*)::int from seats where status <> 'available'"))[0]
    ?.count;

async function unsold(body: () => Promise<void>) {
  const before = await seatsSold();
  await body();
  expect(await seatsSold()).toBe(before);
}

async function problemOf(response: Response): Promise<[status: number, type: string, detail: string]> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(response.headers.get("x-request-id")).toMatch(/\S/);
  const { type, detail } = (await response.json()) as { type: string; detail: string };
  return [response.status, type.replace("urn:sentinel:problem:", ""), detail];
}

describe("a path", () => {
  const hosts = ["a", "ab", "abc", "app:8080", "localhost", "", "[::1]"].map((host) => [`Host: ${host}`]);
  const anyHost: [headers: string[], version: string][] = [
    ...hosts.map((host): [string[], string] => [host, "1.1"]),
    [[], "1.0"],
  ];

  test.each([
    ["behind a prefix", "/xx/api/v1/admin/api-keys"],
    ["behind a double slash", "//api/v1/admin/api-keys"],
    ["with dots", "/x/../api/v1/admin/api-keys"],
    ["with a dot", "/api/./v1/admin/api-keys"],
    ["with backslashes", "/api\\v1\\admin\\api-keys"],
    ["with an encoded slash", "/api%2fv1/admin/api-keys"],
    ["with an encoded letter", "/api/v1/%61dmin/api-keys"],
    ["with a parameter", "/api/v1/admin/api-keys;x"],
    ["in other letters", "/API/v1/admin/api-keys"],
    ["in the query", "/?/api/v1/admin/api-keys"],
  ])("%s leads to no route of administration, whatever the Host is", async (_, target) => {
    for (const [headers, version] of anyHost) {
      for (const url of [managementUrl, open.url]) {
        const { status, text } = await exchange(url, target, [...headers, `X-API-Key: ${key}`], version);
        expect([target, headers, status]).toEqual([target, headers, target.startsWith("/?") ? 200 : 404]);
        expect(text).not.toContain("apiKeys");
      }
    }
  });

  test("is found as it stands, its query too, whatever the Host is", async () => {
    for (const [headers, version] of anyHost) {
      const { status, text } = await exchange(engine.url, "/api/v1/seats?limit=1", headers, version);
      expect([headers, status, text.match(/"seatId"/g)?.length]).toEqual([headers, 200, 1]);
      expect((await exchange(engine.url, "/api/v1/events", headers, version)).status).toBe(200);
    }
  });

  test("with a slash at its end leads to the one without, on every port and for every method", async () => {
    for (const [method, path] of [
      ["GET", "/api/v1/events"],
      ["GET", "/api/v1/events/1/map"],
      ["POST", "/api/v1/bookings/reserve/500"],
      ["DELETE", `/api/v1/reservations/${crypto.randomUUID()}`],
      ["GET", "/docs"],
      ["GET", "/health/ready"],
    ] as const) {
      const response = await fetch(`${engine.url}${path}/?x=1`, { method, redirect: "manual" });
      expect([path, response.status, response.headers.get("location")]).toEqual([path, 308, `${path}?x=1`]);
      await response.body?.cancel();
    }
    const admin = await fetch(`${managementUrl}/api/v1/admin/api-keys/`, { redirect: "manual" });
    expect([admin.status, admin.headers.get("location")]).toEqual([308, "/api/v1/admin/api-keys"]);
    for (const path of ["/nope/", "/api/v1/events//", "//evil.example/"])
      expect([path, (await exchange(engine.url, path, ["Host: a"])).status]).toEqual([path, 404]);
  });

  test.each([
    ["two Hosts", ["Host: a", "Host: b"]],
    ["the same Host twice", ["Host: a", "Host: a"]],
    ["a Host with a path", ["Host: a/b"]],
    ["a Host with a query", ["Host: a?b"]],
    ["a Host with a fragment", ["Host: a#b"]],
    ["a Host with a user", ["Host: user@a"]],
  ])("is refused with %s, on every port", async (_, headers) => {
    await unsold(async () => {
      for (const url of [engine.url, managementUrl])
        expect((await exchange(url, "/health/live", headers)).text).toContain('"detail":"Host: ');
      expect((await exchange(engine.url, reservePath(900), headers, "1.1", "POST")).status).toBe(400);
    });
  });
});

describe("a request that changes something", () => {
  test.each([
    ["cross-site", { "sec-fetch-site": "cross-site" }],
    ["same-site, of another origin", { "sec-fetch-site": "same-site", origin: "https://blog.example" }],
    ["without Sec-Fetch-Site, of another origin", { origin: "http://evil.example" }],
    ["of an opaque origin", { origin: "null" }],
  ])("is refused as a browser's %s", async (_, headers) => {
    await unsold(async () => {
      for (const path of [reservePath(901), "/api/v1/reservations", "/api/v1/reservations/x/confirm"]) {
        const [status, type] = await problemOf(await fetch(engine.url + path, { method: "POST", headers }));
        expect([path, status, type]).toEqual([path, 403, "cross-site"]);
      }
      const deleted = await fetch(`${managementUrl}/api/v1/admin/api-keys/x`, { method: "DELETE", headers });
      expect((await problemOf(deleted)).slice(0, 2)).toEqual([403, "cross-site"]);
      expect((await fetch(`${engine.url}/api/v1/events`, { headers })).status).toBe(200);
    });
  });

  test.each([
    ["same-origin", { "sec-fetch-site": "same-origin", origin: "https://public.example" }],
    ["typed by a person", { "sec-fetch-site": "none" }],
    ["of a program", {}],
  ])("goes on when it is %s", async (_, headers) => {
    expect((await reserve(engine.url, nextSeat++, { headers })).status).toBe(201);
  });

  test("goes on from the engine's own page where a browser sends Origin only, a proxy in front or not", async () => {
    const { host } = new URL(engine.url);
    for (const headers of [
      { origin: `http://${host}` },
      { origin: "https://shop.example", "x-forwarded-host": "shop.example" },
    ])
      expect((await reserve(engine.url, nextSeat++, { headers })).status).toBe(201);
  });

  test("is refused with a query parameter, which is named", async () => {
    await unsold(async () => {
      for (const [method, path] of [
        ["DELETE", "/api/v1/reservations/x"],
        ["POST", "/api/v1/reservations/x/confirm"],
        ["POST", reservePath(902)],
      ] as const) {
        const response = await fetch(`${engine.url}${path}?seatId=7&x`, { method });
        const [status, , detail] = await problemOf(response);
        expect([path, status, detail]).toEqual([path, 400, expect.stringMatching(/^seatId: /)] as never);
      }
    });
  });

  test("with a body over the limit gets a 413 that says so, announced or not, and closes cleanly if asked", async () => {
    await unsold(async () => {
      for (const path of [reservePath(903), "/api/v1/reservations"])
        for (const body of [LARGE_BODY, () => new Blob([LARGE_BODY]).stream()])
          for (const connection of ["keep-alive", "close"]) {
            if (path !== "/api/v1/reservations" && typeof body === "function") continue;
            const headers = { "content-type": "application/json", connection };
            const sent = typeof body === "function" ? body() : body;
            const response = await fetch(engine.url + path, { method: "POST", headers, body: sent });
            const [status, type] = await problemOf(response);
            expect([path, connection, status, type]).toEqual([path, connection, 413, "body-too-large"]);
          }
    });
  });
});

describe("any request", () => {
  test("with both a Bearer key and X-API-Key, or two Bearer keys, is refused by name on every route", async () => {
    const both = { authorization: `Bearer ${key}`, "x-api-key": key };
    const two = { authorization: `Bearer ${key}, Bearer ${key}` };
    await unsold(async () => {
      for (const headers of [both, two])
        for (const [method, url] of [
          ["GET", `${engine.url}/api/v1/events`],
          ["POST", engine.url + reservePath(904)],
          ["GET", `${managementUrl}/api/v1/admin/api-keys`],
          ["GET", `${engine.url}/health/live`],
        ] as const) {
          const [status, , detail] = await problemOf(await fetch(url, { method, headers }));
          expect([url, status, detail]).toEqual([
            url,
            400,
            expect.stringMatching(/^Authorization: /),
          ] as never);
        }
    });
  });

  test("with a key beside another scheme, after a tab, or twice as X-API-Key is told so, not taken for one without a key", async () => {
    const of = async (headers: Record<string, string>) =>
      problemOf(await fetch(`${engine.url}/api/v1/events`, { headers }));
    for (const authorization of [`Basic dTpw, Bearer ${key}`, `Bearer\t${key}`, `Bearer ${key}, Basic dTpw`])
      expect((await of({ authorization })).slice(0, 3)).toEqual([
        400,
        "invalid-request",
        "Authorization: must be `Bearer <API key>`, sent once.",
      ]);
    expect((await of({ "x-api-key": `${key}, ${key}` })).slice(0, 3)).toEqual([
      400,
      "invalid-request",
      "X-API-Key: must be sent once.",
    ]);
  });

  test("with a query parameter that its operation does not have is told which, on every route of the API", async () => {
    const document = (await (await fetch(`${open.url}/openapi.json`)).json()) as {
      paths: Record<string, { get?: { tags: string[] } }>;
    };
    const reads = Object.entries(document.paths).filter(
      ([, { get }]) => get && !get.tags.includes("Operations"),
    );
    expect(reads.length).toBeGreaterThanOrEqual(14);
    for (const [path] of reads) {
      const url = `${open.url}${path.replace("{reservationId}", crypto.randomUUID()).replace(/\{\w+\}/, "1")}?_=7`;
      const response = await fetch(url, { headers: { "x-api-key": key }, signal: AbortSignal.timeout(5000) });
      expect([path, (await problemOf(response)).join(" ")]).toEqual([
        path,
        "400 invalid-request _: is not a known field.",
      ]);
    }
  });

  test("to a probe, the metrics or a page may have any query", async () => {
    for (const path of [
      ...["/health/live", "/health/ready", "/health/startup", "/actuator/health", "/metrics"],
      ...["/actuator/prometheus", "/docs", "/openapi.json", "/", "/favicon.ico"],
    ]) {
      const response = await fetch(`${open.url}${path}?collect[]=a&collect[]=b&_=7`);
      await response.body?.cancel();
      expect([path, response.status]).toEqual([path, 200]);
    }
  });

  test("that sends a parameter twice is told which", async () => {
    const response = await fetch(`${engine.url}/api/v1/seats?limit=1&limit=2`);
    expect(await problemOf(response)).toEqual([400, "invalid-request", "limit: must be sent once."]);
  });
});

describe("CORS_ORIGINS", () => {
  const asShop = { origin: SHOP, "sec-fetch-site": "cross-site" };

  test("lets a page of the origin act and read, its errors too", async () => {
    const won = await fetch(open.url + reservePath(nextSeat++), { method: "POST", headers: asShop });
    expect(won.status).toBe(201);
    for (const [method, path, status] of [
      ["GET", "/api/v1/events/1/map", 200],
      ["GET", "/nope", 404],
      ["PUT", "/api/v1/events", 405],
      ["POST", reservePath("x"), 400],
      ["POST", `${reservePath(905)}?x`, 400],
      ["GET", "/api/v1/events/", 308],
    ] as const) {
      const response = await sent(open.url + path, method, asShop);
      const { headers } = response;
      expect([path, response.status, headers.get("access-control-allow-origin")]).toEqual([
        path,
        status,
        SHOP,
      ]);
      expect(headers.get("vary")).toContain("Origin");
      expect(headers.get("access-control-expose-headers")).toMatch(/ETag.*RateLimit-Policy.*Retry-After/);
    }
  });

  test("answers a preflight of the origin, and of no other", async () => {
    const ask = {
      "access-control-request-method": "DELETE",
      "access-control-request-headers": "x-reservation-token",
    };
    const path = `${open.url}/api/v1/reservations/x`;
    const shop = await sent(path, "OPTIONS", { ...ask, origin: SHOP });
    expect([shop.status, shop.headers.get("access-control-allow-methods")]).toEqual([
      204,
      "DELETE, GET, HEAD",
    ]);
    const headers = shop.headers.get("access-control-allow-headers")?.split(", ");
    expect(headers).toContain("X-Reservation-Token");
    expect(headers).toContain("X-Admin-Reason");
    const other = await sent(path, "OPTIONS", { ...ask, origin: "https://evil.example" });
    expect([other.status, other.headers.get("access-control-allow-origin")]).toEqual([405, null]);
    expect(other.headers.get("vary")).toBe("Origin");
  });

  test("keeps pages of other origins from changing anything", async () => {
    const headers = { origin: "https://evil.example", "sec-fetch-site": "cross-site" };
    await unsold(async () => {
      const response = await fetch(open.url + reservePath(906), { method: "POST", headers });
      expect(response.headers.get("access-control-allow-origin")).toBeNull();
      expect((await problemOf(response)).slice(0, 2)).toEqual([403, "cross-site"]);
    });
  });

  async function sent(url: string, method: string, headers: Record<string, string>) {
    const response = await fetch(url, { method, headers, redirect: "manual" });
    await response.body?.cancel();
    return response;
  }
});

describe("a name", () => {
  const json = { "content-type": "application/json" };
  const send = (path: string, body: object, headers: Record<string, string> = {}) =>
    fetch(open.url + path, {
      method: "POST",
      headers: { ...json, ...headers },
      body: JSON.stringify(body),
    });
  const asAdmin = () => ({ "x-api-key": key });
  const event = (more: object) => ({
    name: "Cafe\u0301",
    currency: "EUR",
    priceTiers: [{ name: "All", amountMinor: 100 }],
    sections: [{ kind: "general", name: "Floor e\u0301", capacity: 9 }],
    ...more,
  });

  test("of a buyer is one however it is written, and cannot be control characters or nothing", async () => {
    const made = await send("/api/v1/admin/events", event({ buyerLimitSeats: 1 }), asAdmin());
    expect(made.status).toBe(201);
    const { eventId, name } = (await made.json()) as { eventId: number; name: string };
    expect(name).toBe("Caf\u00e9");
    const hold = (buyerId: string) =>
      send("/api/v1/reservations", { eventId, section: "Floor \u00e9", quantity: 1, buyerId });
    expect((await hold("Zo\u00eb L")).status).toBe(201);
    for (const same of [
      "Zoe\u0308 L",
      " Zo\u00eb\u00a0L ",
      "Zo\u200b\u00eb L",
      "\ufeffZo\u00eb  L\u00ad",
      "Zo\u034f\u00eb \u2066L",
      "Zo\ufffb\u00eb L\u2800",
    ])
      expect([same, ...(await problemOf(await hold(same)))].slice(0, 3)).toEqual([
        same,
        409,
        "buyer-limit-reached",
      ]);
    for (const wrong of ["Zo\u0000\u00eb", "Zo\u00eb\n", "\u0085", "\u200b\u00ad ", "\u2800", "\ud800"]) {
      const [status, , detail] = await problemOf(await hold(wrong));
      expect([wrong, status, detail]).toEqual([wrong, 400, expect.stringMatching(/^buyerId: /)] as never);
    }
    expect((await hold("Zoe L")).status).toBe(201);
    const found = await fetch(`${open.url}/api/v1/events/${eventId}/seats?section=Floor%20e%CC%81`);
    expect(found.status).toBe(200);
  });

  test("of a row, section or price tier has no twin that looks the same", async () => {
    const seated = (rows: string[]) => ({
      sections: [{ kind: "assigned", name: "Hall", rows: rows.map((label) => ({ label, seats: 2 })) }],
    });
    for (const more of [
      seated(["\u00e9", "e\u0301"]),
      seated(["A", "A\u200b"]),
      { sections: ["e\u0301", "\u00e9"].map((name) => ({ kind: "general", name, capacity: 1 })) },
      { priceTiers: ["e\u0301", "\u00e9"].map((name) => ({ name, amountMinor: 1 })) },
    ]) {
      const made = await send("/api/v1/admin/events", event(more), asAdmin());
      const [status, , detail] = await problemOf(made);
      expect([status, detail]).toEqual([400, expect.stringMatching(/must differ/)] as never);
    }
  });
});

const nginx = await partOrSkip("nginx", findNginx);

describe.skipIf(!nginx)("behind nginx with its default settings", () => {
  let proxy: string;

  beforeAll(async () => {
    const port = await freePort();
    proxy = `http://127.0.0.1:${port}`;
    const settings = `client_max_body_size 0;
  upstream a { server 127.0.0.1:${new URL(open.url).port}; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://a; }
    location /api/v1/admin { deny all; }
  }`;
    await startNginxWith(stack, nginx ?? "", settings, port);
  });

  test("a 413 stays one", async () => {
    for (let time = 0; time < 5; time++) {
      const response = await fetch(proxy + reservePath(907), { method: "POST", body: LARGE_BODY });
      expect((await problemOf(response)).slice(0, 2)).toEqual([413, "body-too-large"]);
    }
  });

  test("its rules for a path hold whatever precedes the path", async () => {
    for (const path of ["/xx/api/v1/admin/api-keys", "/api\\v1\\admin\\api-keys"]) {
      const { status } = await exchange(proxy, path, ["Host: x", `X-API-Key: ${key}`]);
      expect([path, status]).toEqual([path, 404]);
    }
  });
});
