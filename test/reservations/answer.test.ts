import { describe, expect, test } from "bun:test";
import { answerOf, takenAnswer } from "../../src/reservations/answer.ts";
import type { Outcome } from "../../src/reservations/outcome.ts";
import { seat } from "./worker.ts";

const RESERVATION = "019a9d0e-8a53-7000-a1b2-c3d4e5f60718";

async function wire(outcome: Outcome) {
  const response = answerOf(outcome, "request-1", () => undefined);
  return {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: await response.text(),
  };
}

const JSON_HEADERS = { "content-type": "application/json", "x-request-id": "request-1" };

describe("the answer on the wire", () => {
  test("to a winner", async () => {
    expect(
      await wire({ kind: "won", seatId: seat(2), reservationId: RESERVATION, version: 1, final: true }),
    ).toEqual({
      status: 201,
      headers: JSON_HEADERS,
      body: `{"message":"Seat reserved successfully","seatId":2,"status":"SUCCESS","reservationId":"${RESERVATION}","version":1}`,
    });
  });

  test.each(["reserved", "held", "contended"] as const)("where the seat is %s", async (reason) => {
    expect(await wire({ kind: "taken", seatId: seat(2), reason })).toEqual({
      status: 409,
      headers: JSON_HEADERS,
      body: `{"message":"Seat is already taken","seatId":2,"status":"TAKEN","reason":"${reason}"}`,
    });
  });

  test("to a refusal from memory carries a request id only where the caller gave one", async () => {
    const outcome = { kind: "taken", seatId: seat(2), reason: "reserved" } as const;
    const [without, given] = [takenAnswer(outcome, undefined), takenAnswer(outcome, "theirs")];
    expect([without.status, given.status]).toEqual([409, 409]);
    expect(Object.fromEntries(without.headers)).toEqual({ "content-type": "application/json" });
    expect(Object.fromEntries(given.headers)).toEqual({ ...JSON_HEADERS, "x-request-id": "theirs" });
    expect(await without.text()).toBe(await given.text());
  });

  test.each(["overloaded", "unavailable", "draining"] as const)("where the system is %s", async (reason) => {
    expect(await wire({ kind: "busy", seatId: seat(2), reason })).toEqual({
      status: 503,
      headers: { ...JSON_HEADERS, "retry-after": "1" },
      body: `{"message":"System is busy, please try again","seatId":2,"status":"RETRY","reason":"${reason}"}`,
    });
  });

  test("where there is no such seat", async () => {
    expect(await wire({ kind: "missing", seatId: seat(2) })).toEqual({
      status: 404,
      headers: { "content-type": "application/problem+json", "x-request-id": "request-1" },
      body: '{"type":"urn:sentinel:problem:seat-not-found","title":"There is no such seat","status":404,"detail":"There is no seat 2.","help":"/docs/errors#seat-not-found"}',
    });
  });

  test.each([
    ["not_on_sale", "not-on-sale"],
    ["buyer_needed", "buyer-needed"],
  ] as const)("where the event is closed to the buyer: %s", async (why, slug) => {
    const { status, headers, body } = await wire({ kind: "closed", seatId: seat(2), why });
    expect([status, headers]).toEqual([
      403,
      { "content-type": "application/problem+json", "x-request-id": "request-1" },
    ]);
    expect(JSON.parse(body)).toMatchObject({ type: `urn:sentinel:problem:${slug}`, status: 403 });
  });

  test("keeps every digit of the largest seat id", async () => {
    const { body } = await wire({ kind: "taken", seatId: seat(Number.MAX_SAFE_INTEGER), reason: "held" });
    expect(body).toContain('"seatId":9007199254740991,');
  });
});
