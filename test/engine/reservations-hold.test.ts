import { beforeAll, describe, expect, test } from "bun:test";
import { useStack } from "../fixtures/stack.ts";
import { untilWithin } from "../fixtures/until.ts";
import type { Engine } from "./engines.ts";
import {
  type Answer,
  expectProblem,
  type Headed,
  type OnSale,
  openTheatre,
  PATH,
  type Theatre,
  type Till,
  tillAt,
  tokenOf,
} from "./reservations.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** HMAC-SHA256 in base64url. */
const TOKEN = /^[\w-]{43}$/;
const TTL_SECONDS = 600;

describe("a request to hold seats", () => {
  const stack = useStack();
  let theatre: Theatre;
  let engine: Engine;
  let till: Till;
  /** With numbered seats and standing places. */
  let house: OnSale;
  let seller: Headed;
  let reader: Headed;

  beforeAll(async () => {
    theatre = await openTheatre(stack);
    house = await theatre.addEvent({ rows: 10, seatsPerRow: 20, standing: 30 });
    engine = await theatre.openEngine();
    till = tillAt(engine.url);
    [seller, reader] = [await theatre.key("seller"), await theatre.key("reader")];
  });

  const seatsAt = (...indexes: number[]) => indexes.map((index) => house.seats[index] ?? 0);
  const idsOf = ({ body }: Answer) => body.seats.map(({ seatId }) => seatId);
  /** What nobody may have changed. */
  const unchanged = async (work: () => Promise<void>) => {
    const before = await theatre.ledgerRowCount();
    await work();
    expect(await theatre.ledgerRowCount()).toBe(before);
  };

  test("for seats by their ids is answered 201 with places, prices, the end and a token", async () => {
    const seatIds = seatsAt(1, 0);
    const answer = await till.hold({ seatIds });
    expect(answer.status).toBe(201);
    expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
    expect(answer.headers.get("x-request-id")).toMatch(/\S/);
    expect(answer.headers.get("idempotent-replayed")).toBeNull();
    expect(answer.body).toEqual({
      reservationId: expect.stringMatching(UUID),
      status: "HELD",
      eventId: house.eventId,
      // In the order in which they were asked for.
      seats: ["2", "1"].map((seatNumber, index) => ({
        ...{ seatId: seatIds[index], seatNumber, section: "Stalls", row: "A", price: "45.50" },
      })),
      total: { amountMinor: 9100, currency: "EUR" },
      expiresAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      token: expect.stringMatching(TOKEN),
    } as unknown as Answer["body"]);
    expect(answer.headers.get("location")).toBe(`${PATH}/${answer.body.reservationId}`);
    const [row] = await theatre.facts.query<{ ends: Date; now: Date }>(
      "select hold_expires_at as ends, clock_timestamp() as now from seats where id = $1",
      [seatIds[0]],
    );
    expect(row?.ends.toISOString()).toBe(answer.body.expiresAt);
    const secondsLeft = (Date.parse(answer.body.expiresAt) - (row?.now.getTime() ?? 0)) / 1000;
    expect(secondsLeft).toBeWithin(TTL_SECONDS - 30, TTL_SECONDS);
    expect((await till.map(house.eventId)).get(seatIds[0] ?? 0)).toBe("held");
  });

  test("for places of a section without numbers is answered 201 with as many, none twice", async () => {
    const answer = await till.hold({ eventId: house.eventId, section: "Floor", quantity: 4 });
    expect(answer.status).toBe(201);
    expect(new Set(idsOf(answer)).size).toBe(4);
    expect(idsOf(answer).every((id) => house.places.includes(id))).toBe(true);
    expect(answer.body.seats[0]).toMatchObject({ section: "Floor", row: null, seatNumber: null });
  });

  test("for the best seats is answered 201 with neighbours in one row", async () => {
    const answer = await till.hold({ eventId: house.eventId, bestAvailable: { quantity: 4 } });
    expect(answer.status).toBe(201);
    const ids = idsOf(answer).sort((a, b) => a - b);
    expect(ids).toEqual([0, 1, 2, 3].map((step) => (ids[0] ?? 0) + step));
    expect(new Set(answer.body.seats.map(({ row }) => row)).size).toBe(1);
  });

  test("with preferences gets the first that can be had, and nothing of the others", async () => {
    const taken = await till.hold({ seatIds: seatsAt(40, 41) });
    expect(taken.status).toBe(201);
    const answer = await till.hold({
      eventId: house.eventId,
      preferences: [
        { seatIds: seatsAt(41, 42) },
        { seatIds: seatsAt(43, 44) },
        { section: "Floor", quantity: 2 },
      ],
    });
    expect([answer.status, idsOf(answer)]).toEqual([201, seatsAt(43, 44)]);
    // It is made again at most 20 times a second.
    const seen = await untilWithin(1000, "the map knows of the hold", async () => {
      const map = await till.map(house.eventId);
      return map.get(seatsAt(43)[0] ?? 0) === "held" && map;
    });
    expect(seatsAt(42, 43, 44).map((id) => seen.get(id))).toEqual(["available", "held", "held"]);
  });

  test("for seats of which one is taken is answered 409 with why, free seats nearby and a spread wait", async () => {
    const [held = 0, sold = 0, free = 0] = seatsAt(60, 61, 62);
    const first = await till.hold({ seatIds: [held] });
    const bought = await till.hold({ seatIds: [sold] });
    expect((await till.act("confirm", bought.body, tokenOf(bought.body))).status).toBe(200);
    const waits = new Set<string>();
    await unchanged(async () => {
      for (let time = 0; time < 40; time++) {
        const answer = await till.hold({ seatIds: [free, held, sold] });
        const body = expectProblem(answer, 409, "seats-taken");
        expect(body.seats).toEqual([
          { seatId: held, reason: "held" },
          { seatId: sold, reason: "reserved" },
        ] as unknown as typeof body.seats);
        expect(body.detail).toContain(String(held));
        expect(body.earliestHoldEndsAt).toBeUndefined();
        waits.add(answer.headers.get("retry-after") ?? "");
      }
    });
    expect([...waits].sort()).toEqual(["1", "2", "3"]);
    const known = expectProblem(await till.hold({ seatIds: [held] }, seller), 409, "seats-taken");
    expect(known.earliestHoldEndsAt).toBe(first.body.expiresAt);
    // Each of the alternatives is really free: it can be had.
    expect(known.alternatives.length).toBeWithin(1, 6);
    expect(known.alternatives).not.toContain(held);
    expect((await till.hold({ seatIds: known.alternatives })).status).toBe(201);
  });

  test("with a reader's key is answered 403, and with no key that there is 401", async () => {
    await unchanged(async () => {
      expectProblem(await till.hold({ seatIds: seatsAt(80) }, reader), 403, "forbidden");
      const nobody = { authorization: `Bearer sentinel_${"0".repeat(32)}_${"A".repeat(43)}` };
      expectProblem(await till.hold({ seatIds: seatsAt(80) }, nobody), 401, "unauthorized");
    });
  });

  test("for an event that is closed, not on sale yet or no more is answered 403", async () => {
    const minute = 60_000;
    for (const more of [
      { status: "closed" as const },
      { onSaleAtMs: Date.now() + minute },
      { offSaleAtMs: Date.now() - minute },
    ]) {
      const { eventId, seats, places } = await theatre.addEvent({ rows: 1, standing: 2, more });
      await unchanged(async () => {
        for (const body of [
          { seatIds: [seats[0]] },
          { eventId, section: "Floor", quantity: 1 },
          { eventId, bestAvailable: { quantity: 1 } },
          { seatIds: [places[0]], buyerId: "b" },
        ])
          expectProblem(await till.hold(body), 403, "not-on-sale");
        const answer = await till.hold({ seatIds: [seats[1]] }, { "idempotency-key": crypto.randomUUID() });
        expectProblem(answer, 403, "not-on-sale");
      });
    }
  });

  test("without a buyer where buyers are limited is answered 403, and beyond the limit 409", async () => {
    const { seats } = await theatre.addEvent({ rows: 1, more: { buyerLimitSeats: 3 } });
    expectProblem(await till.hold({ seatIds: seats.slice(0, 2) }), 403, "buyer-needed");
    const key = { "idempotency-key": crypto.randomUUID() };
    expectProblem(await till.hold({ seatIds: seats.slice(0, 2) }, key), 403, "buyer-needed");
    expect((await till.hold({ seatIds: seats.slice(0, 2), buyerId: "Ann" })).status).toBe(201);
    const beyond = await till.hold({ seatIds: seats.slice(2, 4), buyerId: "Ann" });
    expect(expectProblem(beyond, 409, "buyer-limit-reached").detail).toStartWith("buyerId: ");
    expect(beyond.headers.get("retry-after")).toMatch(/^[123]$/);
    expect((await till.hold({ seatIds: seats.slice(2, 4), buyerId: "Bob" })).status).toBe(201);
  });

  test("for more than there is left is answered 409, and only then", async () => {
    const { eventId, places } = await theatre.addEvent({ standing: 5 });
    const wish = (quantity: number) => till.hold({ eventId, section: "Floor", quantity });
    const four = await wish(4);
    expect(four.status).toBe(201);
    const answer = await wish(2);
    expectProblem(answer, 409, "no-seats-left");
    expect(answer.headers.get("retry-after")).toMatch(/^[123]$/);
    const last = await wish(1);
    expect([...idsOf(four), ...idsOf(last)].sort()).toEqual([...places].sort());
    expect((await till.act("release", four.body, tokenOf(four.body))).status).toBe(200);
    expect((await wish(4)).status).toBe(201);
  });

  test("for what there is not is answered 404", async () => {
    await unchanged(async () => {
      const noSeat = await till.hold({ seatIds: [house.seats[90], 999_999_999] });
      expect(expectProblem(noSeat, 404, "seat-not-found").detail).toStartWith("seatIds: ");
      const noEvent = await till.hold({ eventId: 999_999_999, section: "Floor", quantity: 1 });
      expect(expectProblem(noEvent, 404, "event-not-found").detail).toStartWith("eventId: ");
    });
    // The seat that was there is still to be had.
    expect((await till.hold({ seatIds: seatsAt(90) })).status).toBe(201);
  });

  test("is held at an event that was made a moment ago by somebody else", async () => {
    const { eventId, seats } = await theatre.addEvent({ rows: 1 });
    const answer = await till.hold({ eventId, bestAvailable: { quantity: 2 } });
    expect(answer.status).toBe(201);
    expect(idsOf(answer).every((id) => seats.includes(id))).toBe(true);
    const other = await theatre.addEvent({ rows: 1 });
    const byId = await till.hold({ seatIds: [other.seats[3]] });
    expect([byId.status, byId.body.seats[0]?.row, byId.body.total.currency]).toEqual([201, "A", "EUR"]);
  });

  test("leaves a database whose seats, reservations and ledger agree", async () => {
    await untilWithin(1000, "rows", async () => (await theatre.ledgerRowCount()) > 0);
    await theatre.expectSound();
  });
});
