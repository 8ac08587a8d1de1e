import { describe, expect, test } from "bun:test";
import { readJson } from "../../src/http/json-body.ts";
import { holdSchema, wishesOf } from "../../src/reservations/hold-body.ts";

async function read(body: unknown) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const request = new Request("http://shop/", {
    ...{ method: "POST", body: text, headers: { "content-type": "application/json" } },
  });
  return readJson(request, holdSchema, 65_536);
}

/** The refusal of a body: its status and the field that its detail begins with. */
async function refusalOf(body: unknown) {
  const answer = await read(body);
  if (!("problem" in answer)) throw new Error("the body was taken");
  const { problem } = answer;
  const { type, detail } = (await problem.json()) as { type: string; detail: string };
  expect(type).toBe("urn:sentinel:problem:invalid-request");
  return { status: problem.status, field: detail.slice(0, detail.indexOf(":")), detail };
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

const best = (more: object) => ({ eventId: 1, bestAvailable: { quantity: 2, ...more } });

describe("nonsense", () => {
  test.each<[what: string, field: string, body: unknown]>([
    ["no body", "body", ""],
    ["no JSON", "body", "{seatIds: 1}"],
    ["a list", "body", [1, 2]],
    ["null", "body", "null"],
    ["an empty object", "seatIds", {}],
    ["only an event", "seatIds", { eventId: 1 }],
    ["an unknown field", "seats", { seatIds: [1], seats: [2] }],
    ["an unknown field of another kind", "__proto__", '{"seatIds":[1],"__proto__":{"seatIds":[2]}}'],

    ["no seat", "seatIds", { seatIds: [] }],
    ["21 seats", "seatIds", { seatIds: upTo(21) }],
    ["a seat twice", "seatIds", { seatIds: [1, 2, 1] }],
    ["a seat instead of a list", "seatIds", { seatIds: 1 }],
    ["null instead of a list", "seatIds", { seatIds: null }],
    ["seat 0", "seatIds.0", { seatIds: [0] }],
    ["seat -1", "seatIds.1", { seatIds: [1, -1] }],
    ["seat 1.5", "seatIds.0", { seatIds: [1.5] }],
    ["seat 2^53", "seatIds.0", { seatIds: [2 ** 53] }],
    ["seat 1e400", "seatIds.0", '{"seatIds":[1e400]}'],
    ["a seat as text", "seatIds.0", { seatIds: ["1"] }],
    ["a seat in other digits", "seatIds.0", { seatIds: ["١"] }],
    ["true for a seat", "seatIds.0", { seatIds: [true] }],

    ["both seatIds and bestAvailable", "bestAvailable", { ...best({}), seatIds: [1] }],
    ["both seatIds and section", "section", { eventId: 1, seatIds: [1], section: "Floor", quantity: 1 }],
    ["both section and bestAvailable", "bestAvailable", { ...best({}), section: "Floor", quantity: 1 }],
    ["a section without quantity", "quantity", { eventId: 1, section: "Floor" }],
    ["quantity beside seatIds", "quantity", { seatIds: [1], quantity: 1 }],
    ["quantity beside bestAvailable", "quantity", { ...best({}), quantity: 2 }],
    ["quantity alone", "seatIds", { eventId: 1, quantity: 2 }],
    ["quantity 0", "quantity", { eventId: 1, section: "Floor", quantity: 0 }],
    ["quantity -1", "quantity", { eventId: 1, section: "Floor", quantity: -1 }],
    ["quantity 21", "quantity", { eventId: 1, section: "Floor", quantity: 21 }],
    ["quantity 1.5", "quantity", { eventId: 1, section: "Floor", quantity: 1.5 }],
    ["quantity as text", "quantity", { eventId: 1, section: "Floor", quantity: "2" }],
    ["a section without a name", "section", { eventId: 1, section: "", quantity: 1 }],
    ["a section with NUL in it", "section", { eventId: 1, section: "Fl\u0000oor", quantity: 1 }],
    ["a section with half a surrogate pair", "section", { eventId: 1, section: "\ud800", quantity: 1 }],
    ["a section of 201 characters", "section", { eventId: 1, section: "a".repeat(201), quantity: 1 }],

    ["a section without an event", "eventId", { section: "Floor", quantity: 1 }],
    ["best seats without an event", "eventId", { bestAvailable: { quantity: 1 } }],
    ["event 0", "eventId", { eventId: 0, seatIds: [1] }],
    ["event 2^53", "eventId", { eventId: 2 ** 53, seatIds: [1] }],
    ["an event as text", "eventId", { eventId: "1", seatIds: [1] }],

    ["best seats without quantity", "bestAvailable.quantity", { eventId: 1, bestAvailable: {} }],
    ["-2 best seats", "bestAvailable.quantity", best({ quantity: -2 })],
    ["21 best seats", "bestAvailable.quantity", best({ quantity: 21 })],
    ["best seats in no section", "bestAvailable.sections", best({ sections: [] })],
    ["best seats in 101 sections", "bestAvailable.sections", best({ sections: upTo(101).map(String) })],
    ["best seats in a section that is a number", "bestAvailable.sections.0", best({ sections: [1] })],
    ["best seats at no price", "bestAvailable.priceTiers", best({ priceTiers: [] })],
    ["another adjacency", "bestAvailable.adjacency", best({ adjacency: "maybe" })],
    ["another accessibility", "bestAvailable.accessible", best({ accessible: true })],
    ["best seats with an unknown field", "bestAvailable.rows", best({ rows: 2 })],

    ["no preference", "preferences", { preferences: [] }],
    ["11 preferences", "preferences", { preferences: upTo(11).map((id) => ({ seatIds: [id] })) }],
    ["an empty preference", "preferences.0.seatIds", { preferences: [{}] }],
    ["preferences with seatIds beside", "preferences", { seatIds: [1], preferences: [{ seatIds: [2] }] }],
    [
      "a preference with two wishes",
      "preferences.1.bestAvailable",
      {
        eventId: 1,
        preferences: [{ seatIds: [1] }, { seatIds: [2], bestAvailable: { quantity: 1 } }],
      },
    ],
    ["a preference with 21 seats", "preferences.0.seatIds", { preferences: [{ seatIds: upTo(21) }] }],
    ["a preference with a buyer", "preferences.0.buyerId", { preferences: [{ seatIds: [1], buyerId: "b" }] }],
    [
      "preferences within preferences",
      "preferences.0.preferences",
      {
        preferences: [{ preferences: [{ seatIds: [1] }] }],
      },
    ],
    [
      "a preference that needs an event",
      "eventId",
      { preferences: [{ seatIds: [1] }, { bestAvailable: { quantity: 1 } }] },
    ],

    ["a buyer without a name", "buyerId", { seatIds: [1], buyerId: "" }],
    ["a buyer who is a number", "buyerId", { seatIds: [1], buyerId: 7 }],
    ["a buyer who is null", "buyerId", { seatIds: [1], buyerId: null }],
    ["a buyer of 256 characters", "buyerId", { seatIds: [1], buyerId: "b".repeat(256) }],
    ["a buyer with a line break", "buyerId", { seatIds: [1], buyerId: "a\nb" }],
  ])("is refused by its field: %s → %s", async (_what, field, body) => {
    const refusal = await refusalOf(body);
    expect([refusal.status, refusal.field]).toEqual([400, field]);
    expect(refusal.detail).toMatch(/^[\w.]+: (?:must|is|belongs) .+\.$/);
  });
});

describe("sense", () => {
  test.each<[string, unknown]>([
    ["one seat", { seatIds: [1] }],
    ["20 seats of one event", { seatIds: upTo(20), eventId: 1 }],
    ["the largest seat", { seatIds: [Number.MAX_SAFE_INTEGER] }],
    ["places", { eventId: 1, section: "Parkett £ 日本", quantity: 20 }],
    ["a buyer in any script", { seatIds: [1], buyerId: "Zoë 🎭 ١" }],
    ["10 preferences", { eventId: 1, preferences: upTo(10).map((id) => ({ seatIds: [id] })) }],
  ])("is taken as it stands: %s", async (_what, body) => {
    expect<unknown>((await read(body)).value).toEqual(body);
  });

  test("of best seats is side by side where that can be, and leaves accessible seats to those who need them", async () => {
    const { value } = await read(best({}));
    expect(value?.bestAvailable).toEqual({ quantity: 2, adjacency: "preferred", accessible: "avoid" });
  });

  test("is one wish, or its preferences in their order", async () => {
    const { value: one } = await read({ seatIds: [1] });
    const { value: several } = await read({ preferences: [{ seatIds: [2] }, { seatIds: [1] }] });
    expect(one && wishesOf(one)).toEqual([{ seatIds: [1] }]);
    expect(several && wishesOf(several)).toEqual([{ seatIds: [2] }, { seatIds: [1] }]);
  });
});
