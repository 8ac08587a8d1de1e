import { describe, expect, test } from "bun:test";
import { untilWithin } from "../fixtures/until.ts";
import { SMALL_HOUSE, useShop } from "./shop.ts";

const EVENTS = "/api/v1/admin/events";

const shop = useShop();

const counts = async () =>
  (
    await shop.facts.query<object>(
      "select (select count(*)::int from events) as events, (select count(*)::int from sections) as sections, (select count(*)::int from seats) as seats, (select max(revision)::int from events) as revision",
    )
  )[0];

/** The small house with parts of it replaced; `sections` patches the stalls. */
const house = ({ section, ...change }: Record<string, unknown> & { section?: object } = {}) => ({
  ...SMALL_HOUSE,
  ...(section && { sections: [{ ...SMALL_HOUSE.sections[0], ...section }, SMALL_HOUSE.sections[1]] }),
  ...change,
});

describe("an event that an admin makes", () => {
  test("is answered 201 with its address, is there at once, and its seats are as described", async () => {
    const made = await shop.admin("POST", EVENTS, SMALL_HOUSE);
    expect(made.status).toBe(201);
    const { eventId } = made.body;
    expect(made.headers.get("location")).toBe(`/api/v1/events/${eventId}`);
    const shown = await shop.get(`/api/v1/events/${eventId}`);
    expect(shown.body).toEqual(made.body);
    expect(shown.body).toMatchObject({
      ...{ name: "A small house", currency: "EUR", status: "open", cancellable: true, seatCount: 18 },
      ...{ holdTtlSeconds: 600, holdLimitSeconds: 1800, reservationLimitSeats: 20, buyerLimitSeats: null },
      priceTiers: [
        { name: "Front", price: "90.00", amountMinor: 9000 },
        { name: "Back", price: "45.50", amountMinor: 4550 },
      ],
      sections: [
        { name: "Stalls", kind: "assigned", seatCount: 12, availability: { available: 12, unknown: 0 } },
        { name: "Standing", kind: "general", seatCount: 6, availability: { available: 6, unknown: 0 } },
      ],
    });
    const [stalls, standing] = shown.body.sections;
    const rows = await shop.facts.query(
      `select id::int - $2::int as index, section_id as section, row_label as row, seat_number as number, price_minor as price,
              price_tier as tier, accessible, restricted_view as restricted, status, version
       from seats where event_id = $1 order by id`,
      [eventId, stalls.firstSeatId],
    );
    const free = { status: "available", version: 0 };
    expect(rows).toEqual([
      ...Array.from({ length: 12 }, (_, index) => ({
        ...{ index, section: stalls.sectionId, row: "ABC"[index >> 2], number: String((index % 4) + 1) },
        ...(index < 4 ? { price: 9000, tier: 0 } : { price: 4550, tier: 1 }),
        ...{ accessible: index === 4 || index === 8, restricted: index === 11, ...free },
      })),
      ...Array.from({ length: 6 }, (_, index) => ({
        ...{ index: 12 + index, section: standing.sectionId, row: null, number: null, price: 4550, tier: 1 },
        ...{ accessible: false, restricted: false, ...free },
      })),
    ]);
    expect(standing.firstSeatId).toBe(stalls.firstSeatId + 12);
  });

  test("may have 100,000 seats, all free on its map at once", async () => {
    const begun = performance.now();
    const made = await shop.admin("POST", EVENTS, {
      name: "A stadium",
      currency: "EUR",
      priceTiers: [{ name: "One", amountMinor: 5000 }],
      sections: [
        { name: "East", kind: "assigned", rows: 1000, seatsPerRow: 50 },
        { name: "West", kind: "assigned", rows: 1000, seatsPerRow: 50, rowLabels: "numbers" },
      ],
    });
    console.info(`100,000 seats were made in ${Math.round(performance.now() - begun)} ms`);
    expect(made.status).toBe(201);
    const found = await shop.facts.query(
      "select count(*)::int as seats, (max(id) - min(id))::int as span, count(distinct row_label)::int as rows from seats where event_id = $1",
      [made.body.eventId],
    );
    expect(found).toEqual([{ seats: 100_000, span: 99_999, rows: 2000 }]);
    expect(made.body.sections.map(({ availability }: { availability: object }) => availability)).toEqual(
      Array(2).fill({ unknown: 0, available: 50_000, held: 0, reserved: 0 }),
    );
  });

  test("gets seat ids that nobody else has, though two admins make one at the same moment", async () => {
    const made = await Promise.all([
      shop.admin("POST", EVENTS, house({ name: "One" })),
      shop.admin("POST", EVENTS, house({ name: "Other" })),
    ]);
    expect(made.map(({ status }) => status)).toEqual([201, 201]);
    const ranges = await shop.facts.query<{ first: number; last: number; seats: number }>(
      "select min(id)::int as first, max(id)::int as last, count(*)::int as seats from seats where event_id = any($1) group by event_id order by 1",
      [made.map(({ body }) => body.eventId)],
    );
    expect(ranges.map(({ first, last, seats }) => last - first + 1 - seats)).toEqual([0, 0]);
    expect(ranges[1]?.first).toBeGreaterThan(ranges[0]?.last ?? Number.POSITIVE_INFINITY);
  });

  test("needs an admin's key", async () => {
    const before = await counts();
    const answer = await fetch(shop.engine.url + EVENTS, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(SMALL_HOUSE),
    });
    expect(answer.status).toBe(401);
    expect(await counts()).toEqual(before);
  });
});

describe("a description that cannot be made", () => {
  const area = (change: object) => house({ section: { areas: [{ rows: ["A", "A"], ...change }] } });
  test.each([
    ["name", house({ name: "" })],
    ["name", house({ name: "x".repeat(201) })],
    ["name", house({ name: "a\u0000b" })],
    ["name", house({ name: "\ud800" })],
    ["name", house({ name: 7 })],
    ["name", house({ name: "\u200b" })],
    ["name", house({ name: "\u2060\u00ad\u2800" })],
    ["sections.0.name", house({ section: { name: "\u200b" } })],
    ["name", { ...SMALL_HOUSE, name: undefined }],
    ["currency", house({ currency: "EURO" })],
    ["currency", house({ currency: "eur" })],
    ["currency", house({ currency: "ZZZ" })],
    ["cancellable", house({ cancellable: "yes" })],
    ["status", house({ status: "sold" })],
    ["onSaleAt", house({ onSaleAt: "2026-12-01T10:00:00" })],
    ["onSaleAt", house({ onSaleAt: "tomorrow" })],
    ["onSaleAt", house({ onSaleAt: "0000-01-01T00:00:00Z" })],
    ["onSaleAt", house({ onSaleAt: "0026-12-01T10:00:00Z" })],
    ["onSaleAt", house({ onSaleAt: "0099-12-01T10:00:00Z" })],
    ["offSaleAt", house({ offSaleAt: "9999-12-31T23:59:59-23:59" })],
    ["offSaleAt", house({ onSaleAt: "2026-12-01T10:00:00Z", offSaleAt: "2026-12-01T11:00:00+01:00" })],
    ["holdTtlSeconds", house({ holdTtlSeconds: 9 })],
    ["holdTtlSeconds", house({ holdTtlSeconds: 86_401 })],
    ["holdTtlSeconds", house({ holdTtlSeconds: 60.5 })],
    ["holdLimitSeconds", house({ holdTtlSeconds: 600, holdLimitSeconds: 599 })],
    ["reservationLimitSeats", house({ reservationLimitSeats: 0 })],
    ["reservationLimitSeats", house({ reservationLimitSeats: 21 })],
    ["buyerLimitSeats", house({ buyerLimitSeats: -1 })],
    ["focalPoint.y", house({ focalPoint: { x: 1 } })],
    ["focalPoint.x", house({ focalPoint: { x: 1e300, y: 1 } })],
    ["priceTiers", house({ priceTiers: [] })],
    [
      "priceTiers",
      house({ priceTiers: Array.from({ length: 65 }, (_, i) => ({ name: `${i}`, amountMinor: 1 })) }),
    ],
    ["priceTiers.0.amountMinor", house({ priceTiers: [{ name: "Front", amountMinor: -1 }] })],
    ["priceTiers.0.amountMinor", house({ priceTiers: [{ name: "Front", amountMinor: 2 ** 53 }] })],
    [
      "priceTiers.1.name",
      house({ priceTiers: [...SMALL_HOUSE.priceTiers.slice(0, 1), ...SMALL_HOUSE.priceTiers] }),
    ],
    ["sections", house({ sections: [] })],
    [
      "sections",
      house({
        sections: Array(2)
          .fill(null)
          .map((_, i) => ({ name: `${i}`, kind: "general", capacity: 600_000, priceTier: "Back" })),
      }),
    ],
    ["sections.0", house({ sections: ["Stalls"] })],
    ["sections.0.kind", house({ section: { kind: "round" } })],
    ["sections.0.rows", house({ section: { rows: 0 } })],
    ["sections.0.rows", house({ section: { rows: "3" } })],
    ["sections.0.rows", house({ section: { rows: 20_000, seatsPerRow: 51, areas: [] } })],
    [
      "sections.0.rows.1.label",
      house({
        section: {
          rows: [
            { label: "A", seats: 1 },
            { label: "A", seats: 1 },
          ],
          seatsPerRow: undefined,
          areas: [],
        },
      }),
    ],
    ["sections.0.rows.0.seats", house({ section: { rows: [{ label: "A", seats: 0 }] } })],
    ["sections.0.rows.0.seat", house({ section: { rows: [{ label: "A", seats: 1, seat: 1 }] } })],
    ["sections.0.seatsPerRow", house({ section: { seatsPerRow: undefined } })],
    ["sections.0.seatsPerRow", house({ section: { rows: [{ label: "A", seats: 1 }], areas: [] } })],
    ["sections.0.rowLabels", house({ section: { rowLabels: "roman" } })],
    ["sections.0.numbering.step", house({ section: { numbering: { step: 0 } } })],
    ["sections.0.numbering.prefix: must be text", house({ section: { numbering: { prefix: 7 } } })],
    [
      "sections.0.numbering.prefix: must have at most 20 characters",
      house({ section: { numbering: { prefix: "x".repeat(21) } } }),
    ],
    [
      "sections.0.numbering.prefix: must be plain text",
      house({ section: { numbering: { prefix: "S\u0000" } } }),
    ],
    [
      "sections.0.numbering.prefix: must have a character that can be seen",
      house({ section: { numbering: { prefix: "\u200b" } } }),
    ],
    ["sections.0.numbering.from", house({ section: { numbering: { from: 1 } } })],
    ["sections.0.priceTier", house({ section: { priceTier: undefined } })],
    ["sections.0.priceTier", house({ section: { priceTier: "Middle" } })],
    ["sections.0.areas.0.rows.1", area({ rows: ["A", "D"] })],
    ["sections.0.areas.0.rows", area({ rows: ["B", "A"] })],
    ["sections.0.areas.0.seats.1", area({ seats: [1, 5] })],
    ["sections.0.areas.0.seats", area({ seats: [3, 2] })],
    ["sections.0.areas.0.seats.0", area({ seats: [0, 2] })],
    ["sections.0.areas.0.priceTier", area({ priceTier: "Middle" })],
    ["sections.0.areas.0.price", area({ price: 1 })],
    ["sections.0.seatSpacing", house({ section: { seatSpacing: 0 } })],
    ["sections.1.name", house({ sections: [SMALL_HOUSE.sections[1], SMALL_HOUSE.sections[1]] })],
    [
      "sections.1.capacity",
      house({ sections: [SMALL_HOUSE.sections[0], { ...SMALL_HOUSE.sections[1], capacity: 1_000_001 }] }),
    ],
    [
      "sections.1.rows",
      house({ sections: [SMALL_HOUSE.sections[0], { ...SMALL_HOUSE.sections[1], rows: 2 }] }),
    ],
    ["venue", house({ venue: "here" })],
  ])("is answered 400 that begins with %s, and changes nothing", async (field, description) => {
    const before = await counts();
    const { status, headers, body } = await shop.admin("POST", EVENTS, description);
    expect([status, headers.get("content-type")]).toEqual([400, "application/problem+json"]);
    expect(body).toMatchObject({ type: "urn:sentinel:problem:invalid-request", status: 400 });
    expect(body.detail).toStartWith(field.includes(": ") ? field : `${field}: `);
    expect(await counts()).toEqual(before);
  });
});

describe("prices beyond what an integer of the database holds", () => {
  const LARGEST = Number.MAX_SAFE_INTEGER;
  const PATH = "/api/v1/reservations";
  const hold = async (body: object) => {
    const init = {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    };
    return (await (await fetch(shop.engine.url + PATH, init)).json()) as {
      total: object;
      detail: string;
      seats: { price: string }[];
    };
  };

  test("are kept, shown and added up exactly, up to 2^53 - 1; a total beyond is a 400 with its field", async () => {
    const half = 2 ** 52;
    const made = await shop.admin("POST", EVENTS, {
      ...{ name: "Dear", currency: "JPY" },
      priceTiers: [
        { name: "Largest", amountMinor: LARGEST },
        { name: "Half", amountMinor: half },
        { name: "Rest", amountMinor: half - 1 },
        { name: "Small", amountMinor: 7 },
      ],
      sections: ["Largest", "Half", "Rest", "Small"].map((name) => ({
        ...{ name, kind: "assigned", rows: 1, seatsPerRow: 3, priceTier: name },
      })),
    });
    expect([made.status, made.body.priceTiers[0].amountMinor]).toEqual([201, LARGEST]);
    const { eventId, sections } = made.body;
    const [largest, one, rest, small] = sections.map(
      ({ firstSeatId }: { firstSeatId: number }) => firstSeatId,
    );
    expect((await shop.get(`/api/v1/seats/${largest}`)).body.price).toBe("9007199254740991");
    const exact = await hold({ seatIds: [one, rest] });
    expect([exact.total, exact.seats.map(({ price }) => price)]).toEqual([
      { amountMinor: LARGEST, currency: "JPY" },
      [String(half), String(half - 1)],
    ]);
    expect((await hold({ seatIds: [largest] })).total).toEqual({ amountMinor: LARGEST, currency: "JPY" });
    for (const [field, body] of [
      ["seatIds", { seatIds: [one + 1, one + 2] }],
      ["seatIds", { seatIds: [largest + 1, small] }],
      ["bestAvailable.quantity", { eventId, bestAvailable: { quantity: 2, priceTiers: ["Largest"] } }],
      ["quantity", { eventId, section: "Half", quantity: 2 }],
    ] as const)
      expect((await hold(body)).detail).toMatch(new RegExp(`^${field}: the total of these seats`));
    const cheap = await hold({ eventId, bestAvailable: { quantity: 2, priceTiers: ["Small"] } });
    expect(cheap.total).toEqual({ amountMinor: 14, currency: "JPY" });
  });

  test("of other seats of the event do not count: the total is that of the seats that are chosen", async () => {
    const made = await shop.admin("POST", EVENTS, {
      ...{ name: "Dear and cheap", currency: "JPY" },
      priceTiers: [
        { name: "Largest", amountMinor: LARGEST },
        { name: "Small", amountMinor: 7 },
      ],
      sections: [
        ...["Largest", "Small"].map((name) => ({
          ...{ name: `${name} places`, kind: "general", capacity: 4, priceTier: name },
        })),
        { name: "Hall", kind: "assigned", rows: 2, seatsPerRow: 2, priceTier: "Small" },
        { name: "Mixed", kind: "assigned", rows: 1, seatsPerRow: 2, priceTier: "Small" },
      ].map((section) =>
        section.name === "Mixed"
          ? { ...section, areas: [{ rows: ["A", "A"], seats: [1, 1], priceTier: "Largest" }] }
          : section,
      ),
    });
    expect(made.status).toBe(201);
    const { eventId } = made.body;
    const total = { amountMinor: 14, currency: "JPY" };
    expect((await hold({ eventId, section: "Small places", quantity: 2 })).total).toEqual(total);
    const hall = { quantity: 2, sections: ["Hall"] };
    expect((await hold({ eventId, bestAvailable: hall })).total).toEqual(total);
    const mixed = { bestAvailable: { quantity: 2, sections: ["Mixed"] } };
    for (const [field, body] of [
      ["quantity", { section: "Largest places", quantity: 2 }],
      ["bestAvailable.quantity", mixed],
      ["preferences.0.bestAvailable.quantity", { preferences: [mixed] }],
    ] as const)
      expect((await hold({ eventId, ...body })).detail).toStartWith(`${field}: the total of these seats`);
  });
});

describe("an event that an admin changes", () => {
  const made = async () => (await shop.admin("POST", EVENTS, SMALL_HOUSE)).body;

  test("is shown as it is then, and what is left out stays", async () => {
    const before = await made();
    const change = {
      ...{ name: "Renamed", onSaleAt: "2026-12-01T10:00:00+01:00", holdTtlSeconds: 60, buyerLimitSeats: 4 },
      focalPoint: { x: 0.1, y: -2 },
    };
    const changed = await shop.admin("PATCH", `${EVENTS}/${before.eventId}`, change);
    expect(changed.status).toBe(200);
    expect(changed.body).toEqual({ ...before, ...change, onSaleAt: "2026-12-01T09:00:00.000Z" });
    expect((await shop.get(`/api/v1/events/${before.eventId}`)).body).toEqual(changed.body);
    const emptied = { onSaleAt: null, buyerLimitSeats: null, focalPoint: null };
    const again = await shop.admin("PATCH", `${EVENTS}/${before.eventId}`, emptied);
    expect(again.body).toEqual({ ...changed.body, ...emptied });
  });

  test("closes and opens again", async () => {
    const { eventId } = await made();
    expect((await shop.admin("POST", `${EVENTS}/${eventId}/close`)).body.status).toBe("closed");
    expect((await shop.get(`/api/v1/events/${eventId}`)).body.status).toBe("closed");
    expect((await shop.admin("POST", `${EVENTS}/${eventId}/open`)).body.status).toBe("open");
  });

  test.each([
    ["cancellable", { cancellable: false }],
    ["currency", { currency: "USD" }],
    ["priceTiers", { priceTiers: [] }],
    ["sections", { sections: [] }],
    ["holdLimitSeconds", { holdTtlSeconds: 3600 }],
    ["offSaleAt", { onSaleAt: "2026-12-01T10:00:00Z", offSaleAt: "2026-11-01T10:00:00Z" }],
    ["onSaleAt", { onSaleAt: "0026-12-01T10:00:00Z" }],
    ["offSaleAt", { offSaleAt: "9999-12-31T23:59:59-23:59" }],
    ["status", { status: "gone" }],
    ["name", { name: null }],
    ["price", { price: 1 }],
  ])("keeps what it is where the change is refused, by a 400 that begins with %s", async (field, change) => {
    const before = await made();
    const { status, body } = await shop.admin("PATCH", `${EVENTS}/${before.eventId}`, change);
    expect([status, body.detail]).toEqual([400, expect.stringMatching(new RegExp(`^${field}: `))]);
    expect((await shop.get(`/api/v1/events/${before.eventId}`)).body).toEqual(before);
  });

  test("must be there, and have a number for an id", async () => {
    for (const [method, path] of [
      ["PATCH", "/999999"],
      ["POST", "/999999/open"],
      ["POST", "/999999/close"],
    ] as const) {
      const { status, body } = await shop.admin(method, EVENTS + path, {});
      expect([path, status, body.type]).toEqual([path, 404, "urn:sentinel:problem:event-not-found"]);
    }
    const { status, body } = await shop.admin("PATCH", `${EVENTS}/first`, { name: "x" });
    expect([status, body.detail]).toEqual([400, expect.stringMatching(/^eventId: /)]);
  });

  test("that another process has changed is shown within a moment", async () => {
    const { eventId } = await made();
    await shop.facts.query(
      "update events set name = 'Elsewhere', revision = nextval('catalogue_revision') where id = $1",
      [eventId],
    );

    await untilWithin(
      5000,
      "the change of another process is shown",
      async () => (await shop.get(`/api/v1/events/${eventId}`)).body.name === "Elsewhere",
    );
  });
});
