import { describe, expect, test } from "bun:test";
import type { SeatRow } from "../../src/postgres/reserve.ts";
import {
  checksOf,
  claimsOf,
  type HoldRequest,
  holdOutcomeOf,
  outcomeOf,
} from "../../src/reservations/order.ts";
import type { HoldOutcome, Outcome } from "../../src/reservations/outcome.ts";
import type { OrderAnswer } from "../../src/threads/messages.ts";
import { lost, seat, won } from "./worker.ts";

const RESERVATION = "019a9d0e-8a53-7000-a1b2-c3d4e5f60718";
const EXPIRES_AT_MS = 1_790_000_000_000;
const PRICE_MINOR = 15_000;

const holdOf = (...ids: number[]) => ({
  kind: "hold" as const,
  reservationId: RESERVATION,
  seatIds: ids.map(seat),
  claims: [],
  checks: undefined,
  caller: null,
  arrivedAt: 0,
  resolve: () => undefined,
});

type Lost = Parameters<typeof lost>[0];

/** As the statement answers for a seat of a hold. */
const held = (priceMinor = PRICE_MINOR, eventId = 1): SeatRow => ({
  ...{ verdict: "won", version: 1, final: false },
  hold: [eventId, priceMinor, EXPIRES_AT_MS],
});
const inEvent = (eventId: number, verdict: Lost = "free"): SeatRow => ({
  ...lost(verdict),
  hold: [eventId, PRICE_MINOR, null],
});
const missing = lost("missing", null);

describe("a hold", () => {
  test("is held when every seat was won: its facts have prices in the order of the request and the end of the hold", () => {
    expect(holdOutcomeOf(holdOf(7, 3), [held(9000), held(5000)])).toEqual({
      kind: "held",
      facts: {
        reservationId: RESERVATION,
        eventId: 1,
        seatIds: [seat(7), seat(3)],
        pricesMinor: [9000, 5000],
        expiresAtMs: EXPIRES_AT_MS,
      },
    });
  });

  test.each<[string, OrderAnswer, HoldOutcome]>([
    ["its key or buyer is being decided on", "claimed", { kind: "running" }],
    [
      "its caller has enough under way",
      [lost("caller_crowded"), lost("caller_crowded")],
      { kind: "running" },
    ],
    ["its key was answered", [lost("replayed"), lost("replayed")], { kind: "replayed" }],
    ["its key was another request's", [lost("key_mismatch"), lost("key_mismatch")], { kind: "key_mismatch" }],
    ["its buyer has enough", [inEvent(1, "over_limit"), inEvent(1, "over_limit")], { kind: "over_limit" }],
    ["a seat is not there", [inEvent(1), missing], { kind: "missing", seatIds: [seat(2)] }],
    ["no seat is there", [missing, missing], { kind: "missing", seatIds: [seat(1), seat(2)] }],
    ["its seats are of two events", [inEvent(1), inEvent(2)], { kind: "mixed" }],
    ["its event is closed", [inEvent(1, "closed"), inEvent(1)], { kind: "closed", why: "not_on_sale" }],
    [
      "its event wants a name",
      [inEvent(1, "buyer_needed"), inEvent(1, "buyer_needed")],
      { kind: "closed", why: "buyer_needed" },
    ],
    ["the database could not decide", "undecided", { kind: "busy", reason: "unavailable" }],
    ["its seats moved on twice", [lost("moved"), lost("free")], { kind: "busy", reason: "unavailable" }],
  ])("where %s", (_where, seats, outcome) => {
    expect(holdOutcomeOf(holdOf(1, 2), seats)).toEqual(outcome);
  });

  test("names each seat in its way with its reason, and none that was free", () => {
    const seats = ["reserved", "free", "held", "contended"] as const;
    expect(
      holdOutcomeOf(
        holdOf(1, 2, 3, 4),
        seats.map((verdict) => inEvent(1, verdict)),
      ),
    ).toEqual({
      kind: "taken",
      seats: [
        { seatId: seat(1), reason: "reserved" },
        { seatId: seat(3), reason: "held" },
        { seatId: seat(4), reason: "contended" },
      ],
    });
  });

  test("says that a seat is missing before it says that others are taken or of two events", () => {
    const seats = [inEvent(1, "reserved"), inEvent(2, "held"), missing];
    expect(holdOutcomeOf(holdOf(1, 2, 3), seats)).toEqual({ kind: "missing", seatIds: [seat(3)] });
  });

  test("says that its seats are of two events before it says that some are taken", () => {
    expect(holdOutcomeOf(holdOf(1, 2), [inEvent(1, "reserved"), inEvent(2)])).toEqual({ kind: "mixed" });
  });
});

describe("a request for one seat", () => {
  const seatId = seat(1);
  const order = {
    ...{ kind: "reserve" as const, reservationId: RESERVATION, seatIds: [seatId] as [typeof seatId] },
    ...{ arrivedAt: 0, resolve: () => undefined },
  };

  test.each<[SeatRow | "undecided", Outcome]>([
    [won(3, true), { kind: "won", seatId, reservationId: RESERVATION, version: 3, final: true }],
    [lost("reserved"), { kind: "taken", seatId, reason: "reserved" }],
    [lost("held"), { kind: "taken", seatId, reason: "held" }],
    [lost("contended"), { kind: "taken", seatId, reason: "contended" }],
    [missing, { kind: "missing", seatId }],
    [lost("closed"), { kind: "closed", seatId, why: "not_on_sale" }],
    [lost("buyer_needed"), { kind: "closed", seatId, why: "buyer_needed" }],
    [lost("moved"), { kind: "busy", seatId, reason: "unavailable" }],
    [lost("free"), { kind: "busy", seatId, reason: "unavailable" }],
    ["undecided", { kind: "busy", seatId, reason: "unavailable" }],
  ])("answered %j", (answer, outcome) => {
    expect(outcomeOf(order, answer === "undecided" ? answer : [answer])).toEqual(outcome);
  });
});

describe("what a hold must not share with another one under way", () => {
  const KEY = { scope: "somebody", key: "k-1", fingerprint: "f" };
  const request = (more: Partial<HoldRequest>): HoldRequest => ({
    ...{ seatIds: [seat(1)], buyerId: null, key: null },
    ...more,
  });

  test.each<[Partial<HoldRequest>, count: number]>([
    [{}, 0],
    [{ buyerId: "ada" }, 1],
    [{ buyerId: "ada", isLimited: false }, 0],
    [{ key: KEY }, 1],
    [{ buyerId: "ada", key: KEY }, 2],
  ])("with %j is %d claims", (more, count) => {
    expect(new Set(claimsOf(request(more))).size).toBe(count);
  });

  test("differs for a key and a buyer of the same name", () => {
    const [ofKey] = claimsOf(request({ key: KEY }));
    const [ofBuyer] = claimsOf(request({ buyerId: KEY.key }));
    expect(ofKey).not.toBe(ofBuyer);
  });

  test.each<[string, Partial<HoldRequest>, limitSeats: number, limit: number | undefined]>([
    ["a caller with a limit", { caller: "shop" }, 4, 4],
    ["a caller with a limit and a buyer", { caller: "shop", buyerId: "ada" }, 1, 1],
    ["a caller without a limit", { caller: "shop", buyerId: "ada" }, 0, undefined],
    ["nobody", { caller: null, buyerId: "ada" }, 4, undefined],
  ])("includes the seats that %s has", (_who, more, limitSeats, limit) => {
    expect(checksOf(request(more), limitSeats)?.callerLimitSeats).toBe(limit);
  });

  test.each([{ key: KEY }, { buyerId: "ada" }, { buyerId: "ada", isLimited: false }])(
    "is checked under its claims: %j",
    (more) => {
      const checks = { buyerId: null, isLimited: true, key: null, ...more };
      expect(checksOf(request(more), 0)).toEqual(checks);
    },
  );

  test("is nothing to check without key, buyer and limit of the caller", () => {
    expect(checksOf(request({ caller: "shop" }), 0)).toBeUndefined();
    expect(checksOf(request({}), 4)).toBeUndefined();
  });
});
