import { describe, expect, test } from "bun:test";
import { PROBLEMS } from "../../src/http/problems.ts";
import type { OwnerAction } from "../../src/reservations/changes.ts";
import {
  type ChangeRefusal,
  changeProblem,
  type HoldRefusal,
  holdProblem,
  reservationNotFound,
} from "../../src/reservations/refusals.ts";
import { BUSY, CHANGE_VERDICTS, VERDICTS } from "../../src/venue/outcome.ts";
import { seat } from "./worker.ts";

const NO_HINTS = { event: undefined, alternatives: [] };

interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  gone?: number[];
}

async function read(response: Response) {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const body = (await response.json()) as Problem;
  expect(body.status).toBe(response.status);
  for (const text of [body.title, body.detail]) expect(text).toMatch(/\S/);
  return {
    ...{ body, status: response.status, slug: body.type.replace("urn:sentinel:problem:", "") },
    retryAfter: response.headers.get("retry-after"),
  };
}

const taken: HoldRefusal = {
  kind: "taken",
  seats: [
    { seatId: seat(1), reason: "held" },
    { seatId: seat(2), reason: "reserved" },
  ],
};

describe("a hold that is refused", () => {
  test.each<[HoldRefusal, status: number, slug: string]>([
    [taken, 409, "seats-taken"],
    [{ kind: "none" }, 409, "no-seats-left"],
    [{ kind: "missing", seatIds: [seat(7), seat(8)] }, 404, "seat-not-found"],
    [{ kind: "no_event", eventId: 9 }, 404, "event-not-found"],
    [{ kind: "mixed" }, 400, "invalid-request"],
    [{ kind: "unfit", detail: "section: there is none." }, 400, "invalid-request"],
    [{ kind: "too_costly" }, 422, "request-too-costly"],
    [{ kind: "closed", why: "not_on_sale" }, 403, "not-on-sale"],
    [{ kind: "closed", why: "buyer_needed" }, 403, "buyer-needed"],
    [{ kind: "too_many" }, 400, "invalid-request"],
    [{ kind: "over_limit" }, 409, "buyer-limit-reached"],
    [{ kind: "busy", reason: "overloaded" }, 503, "unavailable"],
    [{ kind: "busy", reason: "unavailable" }, 503, "unavailable"],
    [{ kind: "busy", reason: "draining" }, 503, "unavailable"],
    [{ kind: "running" }, 409, "request-in-progress"],
    [{ kind: "replayed" }, 409, "request-in-progress"],
    [{ kind: "key_mismatch" }, 422, "idempotency-key-reused"],
  ])("%j is a %d %s", async (refusal, status, slug) => {
    const answer = await read(holdProblem(refusal, NO_HINTS));
    expect([answer.status, answer.slug]).toEqual([status, slug]);
    if (status === 503 || status === 409) expect(answer.retryAfter).toMatch(/^[1-3]$/);
    else expect(answer.retryAfter).toBeNull();
  });

  test.each<[HoldRefusal, RegExp]>([
    [taken, /\b1 \(held\), 2 \(reserved\)/],
    [{ kind: "missing", seatIds: [seat(7), seat(8)] }, /^seatIds: .*7, 8/],
    [{ kind: "no_event", eventId: 9 }, /^eventId: .*9/],
    [{ kind: "mixed" }, /^seatIds: /],
    [{ kind: "unfit", detail: "section: there is none." }, /^section: there is none\.$/],
    [{ kind: "closed", why: "buyer_needed" }, /^buyerId: /],
    [{ kind: "over_limit" }, /^buyerId: /],
    [{ kind: "key_mismatch" }, /^Idempotency-Key: /],
    [{ kind: "running" }, /reservation, buyer, caller or Idempotency-Key/],
  ])("%j names what it is about", async (refusal, detail) => {
    expect((await read(holdProblem(refusal, NO_HINTS))).body.detail).toMatch(detail);
  });

  test("tells what can be done: each seat's reason, near alternatives, when the first hold ends", async () => {
    const hints = {
      event: undefined,
      alternatives: [seat(3), seat(4)],
      earliestHoldEndsAt: "2026-01-02T03:04:05.678Z",
    };
    const { body } = await read(holdProblem(taken, hints));
    expect(body).toMatchObject({
      seats: [
        { seatId: 1, reason: "held" },
        { seatId: 2, reason: "reserved" },
      ],
      alternatives: [3, 4],
      earliestHoldEndsAt: "2026-01-02T03:04:05.678Z",
    });
  });

  test("does not tell when a hold ends where nobody said so", async () => {
    expect((await read(holdProblem(taken, NO_HINTS))).body).not.toHaveProperty("earliestHoldEndsAt");
  });

  test("asks the losers of one race to come back at different times", async () => {
    const waits = new Set<string | null>();
    for (let time = 0; time < 200; time++) waits.add(holdProblem(taken, NO_HINTS).headers.get("retry-after"));
    expect([...waits].toSorted()).toEqual(["1", "2", "3"]);
  });
});

describe("a change that is refused", () => {
  const refused = (status: Extract<ChangeRefusal, { kind: "refused" }>["status"]): ChangeRefusal => ({
    ...{ kind: "refused", status },
  });

  test.each<[OwnerAction, ChangeRefusal, status: number, slug: string]>([
    ["confirm", { kind: "missing" }, 404, "reservation-not-found"],
    ["confirm", { kind: "gone", seatIds: [4, 5] }, 410, "reservation-expired"],
    ["confirm", { kind: "over_limit" }, 409, "buyer-limit-reached"],
    ["confirm", { kind: "busy", reason: "unavailable" }, 503, "unavailable"],
    ["confirm", { kind: "running" }, 409, "request-in-progress"],
    ["confirm", { kind: "replayed" }, 409, "request-in-progress"],
    ["confirm", { kind: "key_mismatch" }, 422, "idempotency-key-reused"],
    ...(["confirm", "release", "extend"] as const).flatMap(
      (action): [OwnerAction, ChangeRefusal, number, string][] => [
        [action, refused("expired"), 410, "reservation-expired"],
        [action, refused("confirmed"), 409, "already-confirmed"],
        [action, refused("released"), 409, "already-released"],
        [action, refused("cancelled"), 409, "already-cancelled"],
      ],
    ),
    ["extend", refused("held"), 409, "extension-limit-reached"],
    ["cancel", refused("held"), 409, "not-confirmed"],
    ["cancel", refused("expired"), 409, "not-confirmed"],
    ["cancel", refused("confirmed"), 409, "not-cancellable"],
    ["cancel", refused("released"), 409, "already-released"],
    ["cancel", refused("cancelled"), 409, "already-cancelled"],
  ])("%s: %j is a %d %s", async (action, refusal, status, slug) => {
    const answer = await read(changeProblem(action, refusal));
    expect([answer.status, answer.slug]).toEqual([status, slug]);
  });

  test("names the seats that went, and none where others have none", async () => {
    const gone = await read(changeProblem("confirm", { kind: "gone", seatIds: [4, 5] }));
    expect(gone.body.gone).toEqual([4, 5]);
    expect(gone.body.detail).toContain("4, 5");
    expect((await read(changeProblem("confirm", refused("expired")))).body).not.toHaveProperty("gone");
  });

  test("is the same for a reservation that is not there and for another's", async () => {
    const [missing, others] = [changeProblem("confirm", { kind: "missing" }), reservationNotFound()];
    expect(await missing.text()).toBe(await others.text());
    expect([...missing.headers]).toEqual([...others.headers]);
  });
});

test("every verdict in the table of the sale has a problem with the status that the table says", () => {
  const changes = Object.values(CHANGE_VERDICTS).flatMap((row) => ("slug" in row ? [row] : []));
  for (const { slug, status } of [...Object.values(VERDICTS), ...changes, ...Object.values(BUSY)])
    if (slug !== null) expect([slug, PROBLEMS[slug].status]).toEqual([slug, status]);
});
