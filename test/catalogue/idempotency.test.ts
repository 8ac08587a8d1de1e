import { describe, expect, test } from "bun:test";
import { SMALL_HOUSE, useShop } from "./shop.ts";

const EVENTS = "/api/v1/admin/events";

const shop = useShop();

const post = (path: string, key: string, body?: object) =>
  shop.send(path, {
    method: "POST",
    headers: { "idempotency-key": key, ...(body && { "content-type": "application/json" }) },
    ...(body && { body: JSON.stringify(body) }),
  });
const eventCount = async () =>
  (await shop.facts.query<{ count: number }>("select count(*)::int as count from events"))[0]?.count ?? 0;

describe("an admin's request with an Idempotency-Key", () => {
  test("makes one event however often it is sent, at once or later, with the same answer to the bit", async () => {
    const before = await eventCount();
    const answers = await Promise.all(Array.from({ length: 2 }, () => post(EVENTS, "make-1", SMALL_HOUSE)));
    const [first] = answers;
    await shop.admin("PATCH", `${EVENTS}/${first?.body.eventId}`, { name: "Renamed since" });
    answers.push(await post(EVENTS, "make-1", SMALL_HOUSE));
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(new Set(answers.map(({ headers }) => headers.get("location"))).size).toBe(1);
    expect(answers.filter(({ headers }) => headers.has("idempotent-replayed"))).toHaveLength(2);
    expect(await eventCount()).toBe(before + 1);
  });

  test("is 422 with another description, and makes nothing", async () => {
    await post(EVENTS, "make-2", SMALL_HOUSE);
    const before = await eventCount();
    const other = await post(EVENTS, "make-2", { ...SMALL_HOUSE, name: "Another house" });
    expect([other.status, other.body.type]).toEqual([422, "urn:sentinel:problem:idempotency-key-reused"]);
    expect(await eventCount()).toBe(before);
  });

  test("that was refused is decided again", async () => {
    const closing = `${EVENTS}/999999/close`;
    expect((await post(closing, "close-1")).status).toBe(404);
    const { body } = await shop.admin("POST", EVENTS, SMALL_HOUSE);
    const closed = await post(`${EVENTS}/${body.eventId}/close`, "close-2");
    expect([closed.status, closed.body.status]).toEqual([200, "closed"]);
    await shop.admin("POST", `${EVENTS}/${body.eventId}/open`);
    const replayed = await post(`${EVENTS}/${body.eventId}/close`, "close-2");
    expect([replayed.text, replayed.headers.get("idempotent-replayed")]).toEqual([closed.text, "true"]);
    expect((await shop.get(`/api/v1/events/${body.eventId}`)).body.status).toBe("open");
  });

  test("is 400 where the key cannot be used, and on the route that shows an API key once", async () => {
    const bad = await post(EVENTS, "with space", SMALL_HOUSE);
    expect([bad.status, bad.body.detail]).toEqual([400, expect.stringMatching(/^Idempotency-Key: /)]);
    const apiKey = await post("/api/v1/admin/api-keys", "key-1", { name: "x", role: "reader" });
    expect([apiKey.status, apiKey.body.detail]).toEqual([400, expect.stringMatching(/^Idempotency-Key: /)]);
  });
});
