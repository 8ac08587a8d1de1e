import { beforeAll, describe, expect, test } from "bun:test";
import { bodyOf, reserve } from "../engine/buyers.ts";
import { SMALL_HOUSE, useShop } from "./shop.ts";

const shop = useShop();
let eventId: number;
/** Of the stalls' first seat; the standing area begins 12 behind it. */
let first: number;
beforeAll(async () => {
  const { body } = await shop.admin("POST", "/api/v1/admin/events", SMALL_HOUSE);
  eventId = body.eventId;
  first = body.sections[0].firstSeatId;
});

describe("the events", () => {
  test("are listed by id, page by page", async () => {
    const one = await shop.get("/api/v1/events?limit=1");
    expect(one.body.events.map(({ name }: { name: string }) => name)).toEqual(["Grand Central Concert 2025"]);
    const other = await shop.get(`/api/v1/events?limit=1&after=${one.body.next}`);
    expect(other.body.events.map(({ name }: { name: string }) => name)).toEqual(["A small house"]);
    expect((await shop.get(`/api/v1/events?after=${other.body.next}`)).body).toEqual({
      events: [],
      next: null,
    });
  });

  test("begin with the demo event: 20 rows of 50, one price of 150.00", async () => {
    expect((await shop.get("/api/v1/events/1")).body).toMatchObject({
      ...{ name: "Grand Central Concert 2025", currency: "EUR", seatCount: 1000, cancellable: false },
      priceTiers: [{ name: "Standard", price: "150.00", amountMinor: 15_000 }],
      sections: [{ name: "Hall", kind: "assigned", firstSeatId: 1, seatCount: 1000 }],
    });
    const { sections } = (await shop.get("/api/v1/events/1/sections")).body;
    expect(sections[0].rows).toHaveLength(20);
    expect(sections[0].rows.at(-1)).toEqual({ label: "T", firstSeatId: 951, seatCount: 50 });
  });

  test("tell of their sections with rows and numbering", async () => {
    const { status, body } = await shop.get(`/api/v1/events/${eventId}/sections`);
    expect(status).toBe(200);
    expect(body.sections).toMatchObject([
      {
        ...{ name: "Stalls", kind: "assigned", priceTier: "Back" },
        numbering: { perRow: true, start: 1, step: 1, prefix: "" },
        position: { x: 10, y: 5 },
        rows: ["A", "B", "C"].map((label, row) => ({ label, firstSeatId: first + 4 * row, seatCount: 4 })),
      },
      { name: "Standing", kind: "general", firstSeatId: first + 12, seatCount: 6, priceTier: "Back" },
    ]);
  });

  test("made by another process a moment ago are found", async () => {
    const [made] = await shop.facts.query<{ id: number }>(
      "insert into events (name, currency) values ('Made elsewhere', 'JPY') returning id::int",
    );
    expect((await shop.get(`/api/v1/events/${made?.id}`)).body).toMatchObject({
      name: "Made elsewhere",
      sections: [],
    });
  });

  test("that are not there are answered 404, at each of their addresses", async () => {
    for (const path of ["", "/sections", "/seats"]) {
      const { status, body } = await shop.get(`/api/v1/events/999999${path}`);
      expect([path, status, body.type]).toEqual([path, 404, "urn:sentinel:problem:event-not-found"]);
      expect((await shop.get(`/api/v1/events/1.5${path}`)).body.detail).toStartWith("eventId: ");
    }
  });
});

describe("the seats of an event", () => {
  const list = async (query: string) => {
    const { status, body } = await shop.get(`/api/v1/events/${eventId}/seats?${query}`);
    expect([query, status]).toEqual([query, 200]);
    return body.seats.map(({ seatId }: { seatId: number }) => seatId - first);
  };
  const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

  test("are its own, page by page", async () => {
    expect(await list("")).toEqual(upTo(18));
    const page = (await shop.get(`/api/v1/events/${eventId}/seats?limit=10`)).body;
    expect(page.next).toBe(first + 9);
    expect(await list(`limit=10&after=${page.next}`)).toEqual(upTo(18).slice(10));
  });

  test.each([
    ["section=Stalls", upTo(12)],
    ["section=Standing", [12, 13, 14, 15, 16, 17]],
    ["section=Stalls&row=B", [4, 5, 6, 7]],
    ["row=C", [8, 9, 10, 11]],
    ["priceTier=Front", [0, 1, 2, 3]],
    ["accessible=true", [4, 8]],
    ["section=Stalls&accessible=false&row=C", [9, 10, 11]],
    ["status=reserved", []],
    ["row=Z", []],
  ])("are filtered by %s", async (query, expected) => {
    expect(await list(query)).toEqual(expected);
  });

  test.each([
    ["section", "section=Balcony"],
    ["priceTier", "priceTier=Middle"],
    ["accessible", "accessible=1"],
    ["limit", "limit=1001"],
    ["limit", "limit=1e2"],
    ["after", "after="],
    ["seat", "seat=1"],
  ])("are not listed for a wrong %s, which is named", async (field, query) => {
    const { status, body } = await shop.get(`/api/v1/events/${eventId}/seats?${query}`);
    expect([status, body.detail]).toEqual([400, expect.stringMatching(new RegExp(`^${field}: `))]);
  });
});

describe("a seat", () => {
  test("is shown with its place and its price", async () => {
    const seat = { status: "available", version: 0, currency: "EUR", eventId };
    expect((await shop.get(`/api/v1/seats/${first + 11}`)).body).toEqual({
      ...{ ...seat, seatId: first + 11, section: "Stalls", row: "C", seatNumber: "4" },
      ...{ price: "45.50", priceTier: "Back", accessible: false, restrictedView: true },
      ...{ x: 10.75, y: 9 },
    });
    expect((await shop.get(`/api/v1/seats/${first + 12}`)).body).toEqual({
      ...{ ...seat, seatId: first + 12, section: "Standing", row: null, seatNumber: null },
      ...{ price: "45.50", priceTier: "Back", accessible: false, restrictedView: false, x: null, y: null },
    });
  });

  test("has the decimals of its currency in its price", async () => {
    for (const [currency, price] of [
      ["JPY", "9000"],
      ["KWD", "9.000"],
    ]) {
      const { body } = await shop.admin("POST", "/api/v1/admin/events", { ...SMALL_HOUSE, currency });
      const seat = await shop.get(`/api/v1/seats/${body.sections[0].firstSeatId}`);
      expect(seat.body).toMatchObject({ price, currency });
    }
  });

  test("has a history: one row a version, page by page", async () => {
    const seatId = first + 17;
    const path = `/api/v1/seats/${seatId}/history`;
    expect((await shop.get(path)).body).toEqual({ seatId, history: [], next: null });
    const won = await reserve(shop.engine.url, seatId);
    const { body } = await shop.admin("GET", path);
    const { reservationId } = bodyOf(won);
    const row = { version: 1, status: "RESERVED", reservationId, replacesReservationId: null };
    expect(body).toEqual({ seatId, history: [{ ...row, at: expect.any(String) }], next: null });
    expect(Math.abs(Date.parse(body.history[0].at) - Date.now())).toBeLessThan(60_000);
    await shop.facts.query(
      `insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id, replaces_reservation_id)
       select epoch, seat_id, version + 1, event_id, 'CANCELLED', reservation_id, reservation_id from seat_events where seat_id = $1`,
      [seatId],
    );
    const one = (await shop.get(`${path}?limit=1`)).body;
    expect([one.history.length, one.next]).toEqual([1, 1]);
    const hidden = { reservationId: null, replacesReservationId: null };
    expect((await shop.get(path)).body.history).toMatchObject([hidden, hidden]);
    const other = (await shop.admin("GET", `${path}?limit=1&after=1`)).body;
    expect(other.history).toMatchObject([
      { version: 2, status: "CANCELLED", reservationId, replacesReservationId: reservationId },
    ]);
  });

  test("that is not there has no history: 404; a wrong parameter is named: 400", async () => {
    const path = (seatId: string) => `/api/v1/seats/${seatId}/history`;
    expect((await shop.get(path("99999999"))).status).toBe(404);
    expect((await shop.get(path("x"))).body.type).toBe("urn:sentinel:problem:invalid-seat-id");
    for (const [query, field] of [
      ["limit=1001", "limit"],
      ["after=2147483648", "after"],
      ["at=1", "at"],
    ]) {
      const { status, body } = await shop.get(`${path("1")}?${query}`);
      expect([query, status, body.detail]).toEqual([
        query,
        400,
        expect.stringMatching(new RegExp(`^${field}: `)),
      ]);
    }
  });
});
