import { beforeAll, describe, expect, test } from "bun:test";
import { useStack } from "../fixtures/stack.ts";
import {
  expectProblem,
  type OnSale,
  openTheatre,
  PATH,
  type Theatre,
  type Till,
  tokenOf,
} from "./reservations.ts";

const MAX_ID = Number.MAX_SAFE_INTEGER;

describe("nonsense sent to /api/v1/reservations", () => {
  const stack = useStack();
  let theatre: Theatre;
  let till: Till;
  let house: OnSale;
  let other: OnSale;
  /** A hold that nonsense is tried on. */
  let held: { reservationId: string; token: string };

  beforeAll(async () => {
    theatre = await openTheatre(stack);
    house = await theatre.addEvent({ rows: 4, seatsPerRow: 10, standing: 30 });
    other = await theatre.addEvent({ rows: 1, more: { reservationLimitSeats: 3 } });
    till = await theatre.openTill();
    held = (await till.hold({ seatIds: [house.seats[39]] })).body;
  });

  /** All that there is in the database about seats, to be the same afterwards. */
  const everything = async () => [
    await theatre.facts.query("select * from seats order by id"),
    await theatre.facts.query("select * from seat_events order by id"),
    await theatre.facts.query("select * from reservations order by id"),
    await theatre.facts.query("select * from idempotency_keys order by key"),
  ];
  const unchanged = async (work: () => Promise<void>) => {
    const before = await everything();
    await work();
    expect(await everything()).toEqual(before);
  };

  /** [what is sent, the field that the answer names] */
  const nonsense = (): [unknown, string][] => {
    const { eventId, seats, places } = house;
    const [first = 0, second = 0] = seats;
    const floor = { eventId, section: "Floor", quantity: 1 };
    const best = { eventId, bestAvailable: { quantity: 1 } };
    return [
      [{}, "seatIds"],
      [{ eventId }, "seatIds"],
      [{ seatIds: [] }, "seatIds"],
      [{ seatIds: null }, "seatIds"],
      [{ seatIds: first }, "seatIds"],
      [{ seatIds: "1" }, "seatIds"],
      [{ seatIds: { 0: first } }, "seatIds"],
      [{ seatIds: [String(first)] }, "seatIds.0"],
      [{ seatIds: ["１"] }, "seatIds.0"],
      [{ seatIds: ["座席"] }, "seatIds.0"],
      [{ seatIds: [first, null] }, "seatIds.1"],
      [{ seatIds: [[first]] }, "seatIds.0"],
      [{ seatIds: [true] }, "seatIds.0"],
      [{ seatIds: [0] }, "seatIds.0"],
      [{ seatIds: [-first] }, "seatIds.0"],
      [{ seatIds: [1.5] }, "seatIds.0"],
      [{ seatIds: [2 ** 53] }, "seatIds.0"],
      [{ seatIds: [1e300] }, "seatIds.0"],
      [`{"seatIds":[1e400]}`, "seatIds.0"],
      [{ seatIds: [first, second, first] }, "seatIds"],
      [{ seatIds: seats.slice(0, 21) }, "seatIds"],
      [{ seatIds: [first, other.seats[0]] }, "seatIds"],
      [{ seatIds: [first], eventId: other.eventId }, "seatIds"],
      [{ seatIds: other.seats.slice(0, 4) }, "seatIds"],
      [{ seatIds: [first], quantity: 1 }, "quantity"],
      [{ seatIds: [first], eventId: "1" }, "eventId"],
      [{ seatIds: [first], eventId: MAX_ID + 1 }, "eventId"],
      [{ seatIds: [first], seats: [second] }, "seats"],
      [{ seatIds: [first], __proto__x: 1 }, "__proto__x"],
      [{ seatIds: [first], section: "Floor" }, "section"],
      [{ ...floor, eventId: undefined }, "eventId"],
      [{ ...floor, quantity: undefined }, "quantity"],
      [{ ...floor, quantity: 0 }, "quantity"],
      [{ ...floor, quantity: -1 }, "quantity"],
      [{ ...floor, quantity: 21 }, "quantity"],
      [{ ...floor, quantity: 2 ** 53 }, "quantity"],
      [{ ...floor, quantity: "2" }, "quantity"],
      [{ ...floor, quantity: 1.5 }, "quantity"],
      [{ ...floor, section: "Nowhere" }, "section"],
      [{ ...floor, section: "Stalls" }, "section"],
      [{ ...floor, section: "" }, "section"],
      [{ ...floor, section: " Floor" }, "section"],
      [{ ...floor, section: "Fl\u0000or" }, "section"],
      [{ ...floor, section: 7 }, "section"],
      [`{"eventId":${eventId},"section":"\\ud800","quantity":1}`, "section"],
      [{ ...best, bestAvailable: {} }, "bestAvailable.quantity"],
      [{ ...best, bestAvailable: 4 }, "bestAvailable"],
      [{ ...best, bestAvailable: { quantity: -4 } }, "bestAvailable.quantity"],
      [{ ...best, bestAvailable: { quantity: 21 } }, "bestAvailable.quantity"],
      [{ ...best, eventId: other.eventId, bestAvailable: { quantity: 4 } }, "bestAvailable.quantity"],
      [{ ...best, bestAvailable: { quantity: 1, sections: ["Floor"] } }, "bestAvailable.sections"],
      [{ ...best, bestAvailable: { quantity: 1, sections: [] } }, "bestAvailable.sections"],
      [{ ...best, bestAvailable: { quantity: 1, priceTiers: ["Gold"] } }, "bestAvailable.priceTiers"],
      [{ ...best, bestAvailable: { quantity: 1, adjacency: "maybe" } }, "bestAvailable.adjacency"],
      [{ ...best, bestAvailable: { quantity: 1, accessible: true } }, "bestAvailable.accessible"],
      [{ ...best, bestAvailable: { quantity: 1, row: "A" } }, "bestAvailable.row"],
      [{ bestAvailable: { quantity: 1 } }, "eventId"],
      [{ ...best, seatIds: [first] }, "bestAvailable"],
      [{ preferences: [] }, "preferences"],
      [{ preferences: {} }, "preferences"],
      [{ preferences: [{}] }, "preferences.0.seatIds"],
      [{ preferences: [{ seatIds: [first] }, { seatIds: [-1] }] }, "preferences.1.seatIds.0"],
      [{ preferences: [{ seatIds: [first] }], seatIds: [second] }, "preferences"],
      [{ preferences: [{ section: "Floor", quantity: 1 }] }, "eventId"],
      [{ preferences: [{ preferences: [] }] }, "preferences.0.preferences"],
      [{ preferences: Array.from({ length: 11 }, () => ({ seatIds: [first] })) }, "preferences"],
      [{ eventId, preferences: [{ section: "Nowhere", quantity: 1 }] }, "preferences.0.section"],
      [{ seatIds: [first], buyerId: "" }, "buyerId"],
      [{ seatIds: [first], buyerId: 1 }, "buyerId"],
      [{ seatIds: [first], buyerId: "x".repeat(256) }, "buyerId"],
      [{ seatIds: [first], buyerId: "a\u0000b" }, "buyerId"],
      [`{"seatIds":[${first}],"buyerId":"\\udc00"}`, "buyerId"],
      ["", "body"],
      ["{", "body"],
      ["[]", "body"],
      ["null", "body"],
      ['"seats"', "body"],
      [`[${first}]`, "body"],
      [{ seatIds: [...places.slice(0, 20), first] }, "seatIds"],
    ];
  };

  test("is answered 400 that names the field, whatever it is, and changes nothing", async () => {
    await unchanged(async () => {
      for (const [body, field] of nonsense()) {
        const answer = await till.hold(body);
        const told = [JSON.stringify(body).slice(0, 200), answer.status, answer.body.detail];
        expect([...told, answer.body.detail?.startsWith(`${field}: `)]).toEqual([...told, true]);
        expectProblem(answer, 400, "invalid-request");
      }
    });
  });

  test("is answered the same with an Idempotency-Key, which stays unused", async () => {
    const key = { "idempotency-key": crypto.randomUUID() };
    await unchanged(async () => {
      expectProblem(await till.hold({ seatIds: [0] }, key), 400, "invalid-request");
      const mixed = { seatIds: [house.seats[0], other.seats[0]] };
      expectProblem(await till.hold(mixed, key), 400, "invalid-request");
    });
    const meant = await till.hold({ seatIds: [house.seats[20]] }, key);
    expect(meant.status).toBe(201);
  });

  test("in the Idempotency-Key is answered 400 that names the header", async () => {
    await unchanged(async () => {
      for (const key of ["", "x".repeat(256), "two words", "clé"]) {
        for (const answer of [
          await till.hold({ seatIds: [house.seats[0]] }, { "idempotency-key": key }),
          await till.act("confirm", held, { ...tokenOf(held), "idempotency-key": key }),
        ]) {
          expect(expectProblem(answer, 400, "invalid-request").detail).toStartWith("Idempotency-Key: ");
        }
      }
    });
    const longest = { "idempotency-key": "x".repeat(255) };
    expect((await till.hold({ seatIds: [house.seats[21]] }, longest)).status).toBe(201);
  });

  test("in the media type is answered 415, in the bytes 400", async () => {
    const body = JSON.stringify({ seatIds: [house.seats[0]] });
    await unchanged(async () => {
      for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]) {
        const answer = await till.send("POST", PATH, { headers: { "content-type": type }, body });
        expect(expectProblem(answer, 415, "unsupported-media-type").detail).toStartWith("Content-Type: ");
      }
      const bytes = new Uint8Array([...new TextEncoder().encode(body.slice(0, -1)), 0xff, 0xfe]);
      const broken = await till.send("POST", PATH, {
        headers: { "content-type": "application/json" },
        body: bytes,
      });
      expect(expectProblem(broken, 400, "invalid-request").detail).toStartWith("body: ");
    });
  });

  test("of a mebibyte is answered 413", async () => {
    const padding = "x".repeat(1024 * 1024);
    await unchanged(async () => {
      const answer = await till.hold({ seatIds: [house.seats[0]], padding });
      expect(answer.status).toBe(413);
    });
  });

  test("for an id of a reservation is answered 404, as for one that is not there", async () => {
    const nobody = await till.show({ reservationId: crypto.randomUUID() }, tokenOf(held));
    expectProblem(nobody, 404, "reservation-not-found");
    const ids = ["1", "0", "-1", "座席", "%00", "%F0%9F%8E%AB", `${held.reservationId}x`, "x".repeat(2000)];
    await unchanged(async () => {
      for (const reservationId of [...ids, held.reservationId.slice(1), `'${held.reservationId}'`]) {
        const answers = [
          await till.show({ reservationId }, tokenOf(held)),
          await till.act("confirm", { reservationId }, tokenOf(held)),
          await till.act("extend", { reservationId }, tokenOf(held)),
          await till.act("release", { reservationId }, tokenOf(held)),
          await till.act("cancel", { reservationId }, tokenOf(held)),
        ];
        for (const answer of answers) {
          expectProblem(answer, 404, "reservation-not-found");
          expect(answer.text).toBe(nobody.text);
        }
      }
    });
  });

  test("after all of which the engine sells as before", async () => {
    expect((await till.act("confirm", held, tokenOf(held))).status).toBe(200);
    await theatre.expectSound();
  });
});
