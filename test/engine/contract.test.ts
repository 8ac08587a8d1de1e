import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { untilWithin } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import { bodyOf, reserve, reservePath } from "./buyers.ts";
import { readMetrics } from "./scraped-metrics.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const BODY_LIMIT_BYTES = 4096;
/** Nothing of these may ever stand in an answer: where code lies, what is asked of the database, who it is. */
const INSIDE =
  /\bat .+:\d+:\d+|node_modules|\.ts\b|select |update |insert |relation|column|unnest|\$\d|postgres|sentinel-|password/i;

const sale = useEngine({ env: { BODY_LIMIT_BYTES: String(BODY_LIMIT_BYTES) } });
/** Statuses of the reserve route that were seen here, to be held against the document. */
const seen = new Set<number>();
let nextSeat = 100;

interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  help: string;
  /** Of a request that is not valid. */
  errors?: { in: string; pointer: string; detail: string }[];
}

async function ask(method: string, path: string, init: RequestInit = {}) {
  const response = await fetch(sale.url + path, { method, ...init });
  if (method === "POST" && path.startsWith(reservePath(""))) seen.add(response.status);
  return { status: response.status, headers: response.headers, body: await response.text() };
}

const askFor = (seatId: number | string, init?: RequestInit) => ask("POST", reservePath(seatId), init);

function expectProblem(answer: Awaited<ReturnType<typeof ask>>, status: number): Problem {
  expect(answer.status).toBe(status);
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  const problem: Problem = JSON.parse(answer.body);
  expect(problem).toEqual({
    type: expect.stringMatching(/^urn:sentinel:problem:[a-z-]+$/),
    title: expect.stringMatching(/\S/),
    status,
    detail: expect.stringMatching(/\S/),
    help: `/docs/errors#${problem.type.slice("urn:sentinel:problem:".length)}`,
    ...(status === 400 && { errors: problem.errors }),
  });
  expect(answer.body).not.toMatch(INSIDE);
  return problem;
}

describe("reserving a seat", () => {
  test("answers 201 with the very bytes that existing clients read, and more fields after them", async () => {
    const won = await askFor(2);
    expect(won.status).toBe(201);
    expect(won.headers.get("content-type")).toBe("application/json");
    expect(won.body).toStartWith(
      '{"message":"Seat reserved successfully","seatId":2,"status":"SUCCESS","reservationId":"',
    );
    const { reservationId, version } = JSON.parse(won.body);
    expect(reservationId).toMatch(UUID);
    expect(version).toBe(1);
    expect(await sale.facts.query("select status, version, reservation_id from seats where id = 2")).toEqual([
      { status: "reserved", version: 1, reservation_id: reservationId },
    ]);
  });

  test("answers 409 with the very bytes that existing clients read when the seat is taken", async () => {
    await askFor(3);
    const refused = await askFor(3);
    expect(refused.status).toBe(409);
    expect(refused.headers.get("content-type")).toBe("application/json");
    expect(refused.body).toBe(
      '{"message":"Seat is already taken","seatId":3,"status":"TAKEN","reason":"reserved"}',
    );
  });

  test("answers 409 with the reason when another holds the seat, and sells it when that hold is over", async () => {
    const hold = (seatId: number, until: string) =>
      sale.facts.query(
        `update seats set status = 'held', version = 1, reservation_id = gen_random_uuid(), hold_expires_at = now() + $2::interval where id = $1`,
        [seatId, until],
      );
    await hold(990, "1 hour");
    await hold(991, "-1 second");
    expect((await askFor(990)).body).toBe(
      '{"message":"Seat is already taken","seatId":990,"status":"TAKEN","reason":"held"}',
    );
    expect(JSON.parse((await askFor(991)).body)).toMatchObject({ status: "SUCCESS", version: 2 });
  });

  const notIds = [
    "0",
    "-1",
    "abc",
    "1.5",
    "01",
    "+1",
    "1e3",
    "0x10",
    "%20",
    "1%20",
    "9007199254740992",
    "9".repeat(400),
  ];
  for (const text of notIds) {
    test(`answers 400 to the seat id ${text.slice(0, 20)}`, async () => {
      const problem = expectProblem(await askFor(text), 400);
      expect(problem.type).toBe("urn:sentinel:problem:invalid-seat-id");
    });
  }

  test("answers 404 to a seat that is not there, up to the greatest id there can be", async () => {
    for (const seatId of ["1001", "9007199254740991"]) {
      const problem = expectProblem(await askFor(seatId), 404);
      expect(problem.type).toBe("urn:sentinel:problem:seat-not-found");
    }
  });

  test("needs no body and reads none, whatever it is said to be", async () => {
    const bodies: [string, RequestInit][] = [
      ["none", {}],
      ["JSON", { body: '{"seatId":7}', headers: { "content-type": "application/json" } }],
      ["broken JSON", { body: '{"seatId":', headers: { "content-type": "application/json" } }],
      ["a form", { body: "seatId=7", headers: { "content-type": "application/x-www-form-urlencoded" } }],
      ["parts without a boundary", { body: "--", headers: { "content-type": "multipart/form-data" } }],
      ["of an unknown type", { body: "\0\xff", headers: { "content-type": "application/x-nonsense" } }],
    ];
    for (const [name, init] of bodies) {
      const seatId = nextSeat++;
      const { status, body } = await askFor(seatId, init);
      expect([name, status, JSON.parse(body).seatId]).toEqual([name, 201, seatId]);
    }
  });

  test("answers 413 to a body over BODY_LIMIT_BYTES and leaves the seat alone, 201 at the limit", async () => {
    const seatId = nextSeat++;
    const tooLarge = await askFor(seatId, { body: "x".repeat(BODY_LIMIT_BYTES + 1) });
    expect(tooLarge.status).toBe(413);
    expect((await sale.facts.query("select status from seats where id = $1", [seatId]))[0]).toEqual({
      status: "available",
    });
    expect((await askFor(seatId, { body: "x".repeat(BODY_LIMIT_BYTES) })).status).toBe(201);
  });

  test("answers that 413 with a problem, and the connection goes on", async () => {
    expectProblem(await askFor(nextSeat++, { body: "x".repeat(BODY_LIMIT_BYTES + 1) }), 413);
  });

  test("reads a percent-encoded digit as the digit it is", async () => {
    expect(JSON.parse((await askFor("%32%30")).body)).toMatchObject({ seatId: 20 });
  });
});

describe("X-Request-Id", () => {
  const echoed = async (id: string, path = reservePath("abc")) =>
    (await ask("POST", path, { headers: { "x-request-id": id } })).headers.get("x-request-id");

  test("comes back as it was where it is harmless, with every kind of answer", async () => {
    const id = "Buyer_7.retry:2-abc";
    const seatId = nextSeat++;
    for (const path of [
      reservePath(seatId), // 201
      reservePath(seatId), // 409
      reservePath("abc"), // 400
      reservePath(5000), // 404 of a seat
      "/no/such/route",
    ]) {
      expect([path, await echoed(id, path)]).toEqual([path, id]);
    }
    expect(await echoed("x".repeat(64))).toBe("x".repeat(64));
  });

  test("is replaced where it is too long or could break a header, a log line or a page", async () => {
    for (const id of ["x".repeat(65), "a b", "a;b", "<script>", 'a"b', "a,b", "é", "$(id)"]) {
      const given = await echoed(id);
      expect(given).toMatch(/^[\w.:-]{1,64}$/);
      expect(given).not.toBe(id);
    }
  });

  test("is made where there is none, another for each request", async () => {
    const ids = await Promise.all(
      Array.from({ length: 20 }, async () => (await askFor("abc")).headers.get("x-request-id")),
    );
    expect(new Set(ids).size).toBe(20);
  });
});

describe("a request that asks to close its connection", () => {
  test("is answered with Connection: close, whatever the answer", async () => {
    const paths = [
      "POST /api/v1/bookings/reserve/7",
      "POST /api/v1/bookings/reserve/7",
      "GET /no/such/route",
    ];
    for (const path of [...paths, "GET /api/v1/events", "GET /docs/swagger-ui.css", "HEAD /health/ready"]) {
      for (const connection of ["close", "Close", "keep-alive, close"]) {
        const head = await rawHead(`${path} HTTP/1.1\r\nhost: a.example\r\nconnection: ${connection}`);
        expect([path, connection, /^connection: close\r?$/im.test(head)]).toEqual([path, connection, true]);
      }
      const old = await rawHead(`${path} HTTP/1.0`);
      expect([path, /^connection: close\r?$/im.test(old)]).toEqual([path, true]);
      const head = await rawHead(`${path} HTTP/1.1\r\nhost: a.example`);
      expect([path, /^connection:/im.test(head)]).toEqual([path, false]);
    }
  });

  /** The head of the response to a request without a body. */
  async function rawHead(head: string): Promise<string> {
    const { hostname, port } = new URL(sale.url);
    const socket = connect(Number(port), hostname);
    let response = "";
    socket.on("data", (bytes) => {
      response += bytes.toString("latin1");
    });
    socket.write(`${head}\r\ncontent-length: 0\r\n\r\n`);
    await untilWithin(10_000, `a response to ${head}`, () => response.includes("\r\n\r\n"));
    socket.destroy();
    return response.slice(0, response.indexOf("\r\n\r\n"));
  }
});

describe("an unknown route", () => {
  test("is answered 404 as a problem, by any method", async () => {
    for (const [method, path] of [
      ["GET", "/api/v1/nothing"],
      ["POST", "/api/v1/bookings/reserve"],
      ["POST", "/api/v1/bookings/reserve/4/5"],
    ] as const) {
      expect(expectProblem(await ask(method, path), 404).type).toBe("urn:sentinel:problem:not-found");
    }
  });

  test("is answered 405 where the path is known for another method", async () => {
    for (const [method, path] of [
      ["GET", reservePath(4)],
      ["PUT", reservePath(4)],
      ["DELETE", "/api/v1/seats/4"],
      ["POST", "/metrics"],
    ] as const) {
      expect(expectProblem(await ask(method, path), 405).type).toBe(
        "urn:sentinel:problem:method-not-allowed",
      );
    }
  });
});

describe("health", () => {
  test("says live, ready and started apart, and which parts answer", async () => {
    for (const path of ["/health/live", "/health/ready", "/health/startup"]) {
      const { status, body } = await ask("GET", path);
      expect([path, status, body]).toEqual([path, 200, '{"status":"UP"}']);
    }
    const { status, body } = await ask("GET", "/actuator/health");
    expect(status).toBe(200);
    expect(body).toStartWith('{"status":"UP","components":{"db":{"status":"UP"}');
  });
});

describe("metrics", () => {
  test("are the same at both paths, in Prometheus's text format", async () => {
    // Threads report once a second: until all have, one scrape may show a series that the other does not.
    const threads = ["main", "reservation-1", "publisher-1"];
    await untilWithin(10_000, "every thread has reported", async () => {
      const { value } = await readMetrics(sale.url);
      return threads.every((thread) => value("sentinel_thread_heap_used_bytes", { thread }) !== undefined);
    });
    const [one, other] = [await readMetrics(sale.url), await readMetrics(sale.url, "/actuator/prometheus")];
    expect(one.contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(other.contentType).toBe(one.contentType);
    const names = (series: string[]) => [...new Set(series.map((each) => each.split("{")[0]))].sort();
    expect(names(other.series)).toEqual(names(one.series));
    expect(names(one.series)).toContain("sentinel_reservations_total");
  });
});

describe("the catalogue", () => {
  test("was seeded on the empty database: 1000 seats of the demo event at 150.00", async () => {
    expect(await sale.facts.query("select name from events")).toEqual([
      { name: "Grand Central Concert 2025" },
    ]);
    const { status, body } = await ask("GET", "/api/v1/seats?limit=1000");
    expect(status).toBe(200);
    const { seats, next } = JSON.parse(body);
    expect(seats).toHaveLength(1000);
    expect(
      seats.map(({ seatId, seatNumber, price }: Record<string, unknown>) => [seatId, seatNumber, price]),
    ).toEqual(Array.from({ length: 1000 }, (_, index) => [index + 1, `S-${index + 1}`, "150.00"]));
    const last = JSON.parse((await ask("GET", `/api/v1/seats?after=${next ?? 1000}`)).body);
    expect(last).toEqual({ seats: [], next: null });
  });

  test("shows a seat as it is now", async () => {
    const seatId = nextSeat++;
    const show = async () => JSON.parse((await ask("GET", `/api/v1/seats/${seatId}`)).body);
    const free = { seatId, seatNumber: `S-${seatId}`, status: "available", version: 0, price: "150.00" };
    expect(await show()).toMatchObject(free);
    await askFor(seatId);
    expect(await show()).toMatchObject({ ...free, status: "reserved", version: 1 });
  });

  test("lists by status, page by page, each seat once", async () => {
    const ids: number[] = [];
    for (let after: number | null = 0; after !== null; ) {
      const page = JSON.parse(
        (await ask("GET", `/api/v1/seats?status=available&limit=300&after=${after}`)).body,
      );
      ids.push(...page.seats.map(({ seatId }: { seatId: number }) => seatId));
      after = page.next;
    }
    const free = await sale.facts.query<{ id: number }>(
      "select id::int from seats where status = 'available' order by id",
    );
    expect(ids).toEqual(free.map(({ id }) => id));
  });

  test("answers 404 and 400 as problems that name what is wrong", async () => {
    expectProblem(await ask("GET", "/api/v1/seats/1001"), 404);
    expectProblem(await ask("GET", "/api/v1/seats/abc"), 400);
    for (const [query, field] of [
      ["limit=0", "limit"],
      ["limit=1001", "limit"],
      ["limit=x", "limit"],
      ["limit=", "limit"],
      ["limit=0x10", "limit"],
      ["after=%20", "after"],
      ["after=-1", "after"],
      ["after=9007199254740992", "after"],
      ["status=sold", "status"],
    ] as const) {
      const { detail } = expectProblem(await ask("GET", `/api/v1/seats?${query}`), 400);
      expect(detail).toContain(field);
    }
  });
});

describe("the documents", () => {
  test("at /docs are a page whose every asset this engine serves", async () => {
    const page = await ask("GET", "/docs");
    expect(page.status).toBe(200);
    expect(page.headers.get("content-type")).toStartWith("text/html");
    expect(page.body).not.toMatch(/(?:https?:)?\/\/[\w-]+\.\w/);
    const assets = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path ?? "");
    expect(assets.length).toBeGreaterThanOrEqual(2);
    const document = /"url":"([^"]+)"/.exec(page.body)?.[1] ?? "";
    for (const path of [...assets, document]) {
      const answer = await fetch(new URL(path, `${sale.url}/docs`));
      expect([path, answer.status]).toEqual([path, 200]);
      expect((await answer.text()).length).toBeGreaterThan(100);
    }
  });

  test("at /openapi.json are OpenAPI 3.1 of every route that answers, with sound references and unique ids", async () => {
    const document = JSON.parse((await ask("GET", "/openapi.json")).body);
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info).toMatchObject({ title: expect.any(String), version: expect.any(String) });
    const operations = Object.entries<Record<string, Operation>>(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ path, method, ...operation })),
    );
    expect(operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
      "delete /api/v1/admin/api-keys/{keyId}",
      "delete /api/v1/admin/denials/{denialId}",
      "delete /api/v1/reservations/{reservationId}",
      "get /",
      "get /actuator/health",
      "get /actuator/prometheus",
      "get /api/v1/admin/api-keys",
      "get /api/v1/admin/denials",
      "get /api/v1/admin/holds",
      "get /api/v1/admin/holds/callers",
      "get /api/v1/admin/log",
      "get /api/v1/events",
      "get /api/v1/events/{eventId}",
      "get /api/v1/events/{eventId}/changes",
      "get /api/v1/events/{eventId}/map",
      "get /api/v1/events/{eventId}/seats",
      "get /api/v1/events/{eventId}/sections",
      "get /api/v1/reservations/{reservationId}",
      "get /api/v1/seats",
      "get /api/v1/seats/{seatId}",
      "get /api/v1/seats/{seatId}/history",
      "get /health/live",
      "get /health/ready",
      "get /health/startup",
      "get /metrics",
      "patch /api/v1/admin/events/{eventId}",
      "post /api/v1/admin/api-keys",
      "post /api/v1/admin/denials",
      "post /api/v1/admin/events",
      "post /api/v1/admin/events/{eventId}/close",
      "post /api/v1/admin/events/{eventId}/open",
      "post /api/v1/admin/holds/release",
      "post /api/v1/bookings/reserve/{seatId}",
      "post /api/v1/reservations",
      "post /api/v1/reservations/{reservationId}/cancel",
      "post /api/v1/reservations/{reservationId}/confirm",
      "post /api/v1/reservations/{reservationId}/extend",
    ]);
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    const tags = document.tags.map(({ name }: { name: string }) => name);
    for (const { path, method, responses, parameters = [], tags: used = [] } of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? "");
      const described = parameters.filter((each) => each.in === "path").map(({ name }) => name);
      expect([path, described]).toEqual([path, inPath]);
      expect([path, used.length]).toEqual([path, 1]);
      for (const tag of used) expect(tags).toContain(tag);
      for (const [status, response] of Object.entries(responses)) {
        expect(status).toMatch(/^[1-5]\d\d$/);
        expect([path, status, response.description]).toEqual([path, status, expect.stringMatching(/\S/)]);
        for (const type of Object.keys(response.content ?? {})) {
          expect(CONTENT_TYPES).toContain(type);
        }
      }
      const known = await ask(
        method.toUpperCase(),
        path.replace(/\{(\w+)\}/g, (_, name) => ID_OF[name] ?? ""),
      );
      expect([path, Object.keys(responses)]).toEqual([path, expect.arrayContaining([String(known.status)])]);
    }
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g)];
    expect(references.length).toBeGreaterThan(100);
    const missing = references.filter(([, kind = "", name = ""]) => !document.components[kind][name]);
    expect(missing.map(([reference]) => reference)).toEqual([]);
  });
});

const CONTENT_TYPES = [
  "application/json",
  "application/octet-stream",
  "application/problem+json",
  "text/event-stream",
  "text/plain",
];

/** What each route is asked about. There is no such event: the stream of one that is there does not end. */
const ID_OF: Record<string, string> = {
  denialId: "1",
  seatId: "2",
  eventId: "999999999",
  reservationId: Bun.randomUUIDv7(),
  keyId: Bun.randomUUIDv7(),
};

/** Answers of the reserve route under other settings, and for events that are closed. */
const ELSEWHERE = ["401", "403", "429"];

interface Operation {
  operationId: string;
  tags?: string[];
  parameters?: { name: string; in: string }[];
  responses: Record<string, { description: string; content?: Record<string, unknown> }>;
}

// The last ones: they break the database for a moment, and look back at what all others have seen.
describe("when Postgres refuses the statement", () => {
  const withoutSeats = async (body: () => Promise<void>) => {
    await sale.facts.query("alter table seats rename to seats_away");
    try {
      await body();
    } finally {
      await sale.facts.query("alter table seats_away rename to seats");
    }
  };

  test("a buyer is told to try again and nothing of the inside; then the seat sells", async () => {
    const seatId = nextSeat++;
    await withoutSeats(async () => {
      const refused = await askFor(seatId);
      expect(refused.status).toBe(503);
      expect(refused.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
      expect(refused.headers.get("content-type")).toBe("application/json");
      expect(refused.body).toBe(
        `{"message":"System is busy, please try again","seatId":${seatId},"status":"RETRY","reason":"unavailable"}`,
      );
    });
    await untilWithin(
      10_000,
      "the engine has seen that the table is back",
      async () => (await reserve(sale.url, seatId)).status === 201,
    );
    expect(bodyOf(await reserve(sale.url, seatId))).toMatchObject({ status: "TAKEN", reason: "reserved" });
  });

  test("the catalogue answers 503 with Retry-After, as documented, and nothing of the inside", async () => {
    await withoutSeats(async () => {
      for (const path of ["/api/v1/seats/4", "/api/v1/seats"]) {
        const answer = await ask("GET", path);
        expectProblem(answer, 503);
        expect(answer.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
      }
    });
  });

  test("neither the statement nor its parameters stand in the log", async () => {
    await withoutSeats(async () => {
      await ask("GET", "/api/v1/seats/424242");
      await askFor(424242);
    });
    expect(sale.engine.output()).not.toMatch(/failed query|params|select |unnest|424242/i);
  });
});

describe("the document of the reserve route", () => {
  test("names every status that was answered here, and each that it names was answered here", async () => {
    const document = JSON.parse((await ask("GET", "/openapi.json")).body);
    const { responses } = document.paths[reservePath("{seatId}")].post;
    const here = Object.keys(responses).filter((status) => !ELSEWHERE.includes(status));
    expect([...seen].map(String).sort()).toEqual(here.sort());
  });
});
