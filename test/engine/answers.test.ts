import { beforeAll, describe, expect, test } from "bun:test";
import { PROBLEMS } from "../../src/http/problems.ts";
import { useStack } from "../fixtures/stack.ts";
import { openTheatre, PATH, type Theatre } from "./reservations.ts";

const stack = useStack();
let theatre: Theatre;
let url: string;

beforeAll(async () => {
  theatre = await openTheatre(stack);
  await theatre.addEvent({ rows: 2 });
  url = (await theatre.openEngine()).url;
});

interface ProblemBody {
  type: string;
  detail: string;
  help: string;
  errors?: { in: string; pointer: string; detail: string }[];
}

async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(url + path, {
    method,
    headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}
const problemIn = ({ text }: { text: string }) => JSON.parse(text) as ProblemBody;
const pointersIn = (answer: { text: string }) =>
  problemIn(answer).errors?.map(({ in: place, pointer }) => `${place} ${pointer}`);

describe("a request that is not valid", () => {
  test("has every error of its body named, by JSON Pointer, the first one in the detail", async () => {
    const answer = await ask("POST", PATH, { seatIds: [1, "x", -3], buyerId: 5, "a/b~c": true });
    const { detail, errors = [] } = problemIn(answer);
    expect(answer.status).toBe(400);
    expect(pointersIn(answer)).toEqual([
      "body #/seatIds/1",
      "body #/seatIds/2",
      "body #/buyerId",
      "body #/a~1b~0c",
    ]);
    expect(detail).toBe(`seatIds.1: ${errors[0]?.detail}`);
  });

  test("has every error of its query, path and headers named", async () => {
    expect(pointersIn(await ask("GET", "/api/v1/seats?limit=0&status=x&more=1"))).toEqual([
      ...["query #/status", "query #/limit", "query #/more"],
    ]);
    expect(pointersIn(await ask("GET", "/api/v1/seats/1?a=1&b.c&&a=2&%22=3"))).toEqual([
      ...["query #/a", "query #/b.c", "query #/%22"],
    ]);
    expect(pointersIn(await ask("POST", `${PATH}?a=1&b=2`, {}))).toEqual(["query #/a", "query #/b"]);
    expect(pointersIn(await ask("GET", "/api/v1/events/x"))).toEqual(["path #/eventId"]);
    expect(pointersIn(await ask("POST", "/api/v1/bookings/reserve/x"))).toEqual(["path #/seatId"]);
    expect(pointersIn(await ask("POST", PATH, { seatIds: [1] }, { "idempotency-key": "short" }))).toEqual([
      "header #/Idempotency-Key",
    ]);
    const key = await theatre.key("admin");
    expect(pointersIn(await ask("POST", `${PATH}/${crypto.randomUUID()}/confirm`, { now: 1 }, key))).toEqual([
      "body #/now",
    ]);
  });

  test("has every contradiction of a new event named, not only the first", async () => {
    const section = { kind: "assigned", rows: 2 };
    const answer = await ask(
      ...["POST", "/api/v1/admin/events"],
      {
        ...{ name: "Of a test", currency: "EUR", priceTiers: [{ name: "Normal", amountMinor: 1 }] },
        sections: [
          { ...section, name: "A" },
          { ...section, name: "B", seatsPerRow: 2, priceTier: "none" },
        ],
      },
      await theatre.key("admin"),
    );
    expect(pointersIn(answer)).toEqual(["body #/sections/0/seatsPerRow", "body #/sections/1/priceTier"]);
  });
});

describe("an event that is not on sale", () => {
  const [past, future] = ["2025-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z"];
  test.each([
    ["not-yet", { onSaleAtMs: Date.parse(future), offSaleAtMs: null }, future, null],
    ["over", { onSaleAtMs: null, offSaleAtMs: Date.parse(past) }, null, past],
    ["closed", { status: "closed" }, null, null],
  ] as const)(
    "says so with reason %s and its times, to a hold and on the reserve route",
    async (reason, more, onSaleAt, offSaleAt) => {
      const { eventId, seats } = await theatre.addEvent({ rows: 1, more });
      const told = { reason, onSaleAt, offSaleAt, type: "urn:sentinel:problem:not-on-sale" };
      // The catalogue may be a moment behind: the event is asked for first.
      expect((await ask("GET", `/api/v1/events/${eventId}`)).status).toBe(200);
      for (const answer of [
        await ask("POST", PATH, { eventId, bestAvailable: { quantity: 1 } }),
        await ask("POST", PATH, { seatIds: seats.slice(0, 1) }),
        await ask("POST", `/api/v1/bookings/reserve/${seats[1]}`),
      ]) {
        expect([answer.status, JSON.parse(answer.text)]).toEqual([403, expect.objectContaining(told)]);
      }
    },
  );
});

describe("the API's document", () => {
  test("has an ETag, is compressed if the client accepts it, and is not sent again", async () => {
    const plain = await ask("GET", "/openapi.json", undefined, { "accept-encoding": "identity" });
    const gzipped = await fetch(`${url}/openapi.json`, {
      ...{ headers: { "accept-encoding": "gzip" }, decompress: false },
    });
    const bytes = new Uint8Array(await gzipped.arrayBuffer());
    expect(gzipped.headers.get("content-encoding")).toBe("gzip");
    expect(Buffer.from(Bun.gunzipSync(bytes)).toString()).toBe(plain.text);
    expect(bytes.length).toBeLessThan(plain.text.length / 5);
    for (const [etag, encoding] of [
      [plain.headers.get("etag"), "identity"],
      [gzipped.headers.get("etag"), "gzip"],
    ]) {
      const again = await ask("GET", "/openapi.json", undefined, {
        ...{ "if-none-match": etag ?? "", "accept-encoding": encoding ?? "" },
      });
      expect([again.status, again.text]).toEqual([304, ""]);
    }
  });
});

describe("the page of errors", () => {
  test("has a part for every problem, and a problem's help leads to its part", async () => {
    const page = await ask("GET", "/docs/errors", undefined, { accept: "text/html" });
    expect(page.headers.get("content-type")).toStartWith("text/html");
    const parts = [...page.text.matchAll(/<h2 id="([a-z-]+)">/g)].map(([, slug]) => slug ?? "");
    expect(parts.sort()).toEqual(Object.keys(PROBLEMS).sort());
    const { help } = problemIn(await ask("GET", "/api/v1/events/999999"));
    const [path, slug = ""] = help.split("#");
    expect([path, parts.includes(slug)]).toEqual(["/docs/errors", true]);
  });

  test("is JSON for programs", async () => {
    const { errors } = JSON.parse((await ask("GET", "/docs/errors")).text);
    expect(errors).toHaveLength(Object.keys(PROBLEMS).length);
    expect(errors[0]).toEqual(
      expect.objectContaining({
        slug: expect.any(String),
        when: expect.any(String),
        action: expect.any(String),
      }),
    );
  });
});

test("a response that repeats an earlier one says so", async () => {
  const { seats } = await theatre.addEvent({ rows: 1 });
  const key = { "idempotency-key": crypto.randomUUID() };
  const [first, again] = [
    await ask("POST", PATH, { seatIds: seats.slice(0, 2) }, key),
    await ask("POST", PATH, { seatIds: seats.slice(0, 2) }, key),
  ];
  expect([first.status, again.status, again.text]).toEqual([201, 201, first.text]);
  expect([first, again].map(({ headers }) => headers.get("idempotency-replayed"))).toEqual([null, "true"]);
});
