import { beforeAll, describe, expect, test } from "bun:test";
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import {
  type Action,
  type Answer,
  expectProblem,
  type Headed,
  type OnSale,
  openTheatre,
  type Theatre,
  type Till,
  tokenOf,
} from "./reservations.ts";

const ACTIONS: Action[] = ["confirm", "extend", "release", "cancel"];
type Held = Answer["body"];

describe("a reservation's owner", () => {
  const stack = useStack();
  let theatre: Theatre;
  let till: Till;
  let house: OnSale;
  /** Its event takes nothing back. */
  let final: OnSale;
  /** Its holds end after a second. */
  let brief: OnSale;
  let seller: Headed;
  let reader: Headed;
  let nextSeat = 0;

  beforeAll(async () => {
    theatre = await openTheatre(stack);
    house = await theatre.addEvent({ rows: 10, seatsPerRow: 20 });
    final = await theatre.addEvent({ rows: 1, more: { cancellable: false } });
    brief = await theatre.addEvent({ rows: 4, more: { holdTtlSeconds: 1, holdLimitSeconds: 1 } });
    till = await theatre.openTill();
    [seller, reader] = [await theatre.key("seller"), await theatre.key("reader")];
  });

  const hold = async (seatIds = [house.seats[nextSeat++], house.seats[nextSeat++]]): Promise<Held> => {
    const answer = await till.hold({ seatIds });
    expect(answer.status).toBe(201);
    return answer.body;
  };
  const idsOf = (held: Held) => held.seats.map(({ seatId }) => seatId);
  const act = (action: Action, held: Held, headers = tokenOf(held)) => till.act(action, held, headers);
  const statusesOf = async (held: Held) => {
    const rows = await theatre.facts.query<{ status: string }>(
      "select status::text from seats where id = any($1) order by id",
      [idsOf(held)],
    );
    return rows.map(({ status }) => status);
  };
  const isOver = (held: Held) =>
    until("the hold is over", async () => {
      const [row] = await theatre.facts.query<{ over: boolean }>(
        "select expires_at <= now() as over from reservations where id = $1",
        [held.reservationId],
      );
      return row?.over;
    });
  /** What the hold's answer said, without what only it says. */
  const asTold = ({ token: _, expiresAt: __, ...told }: Held, status: string) => ({ ...told, status });

  for (const [who, headersOf] of [
    ["its token", (held: Held) => tokenOf(held)],
    ["a seller's key", () => seller],
  ] as [string, (held: Held) => Headed][]) {
    test(`with ${who} sees it, confirms it and cancels it`, async () => {
      const held = await hold();
      const headers = headersOf(held);
      const seen = await till.show(held, headers);
      expect(seen.status).toBe(200);
      expect(seen.text).not.toContain(held.token);
      const { createdAt, ...shown } = seen.body as Held & { createdAt: string };
      expect(shown as object).toEqual({ ...asTold(held, "HELD"), expiresAt: held.expiresAt });
      expect(Date.parse(held.expiresAt) - Date.parse(createdAt)).toBe(600_000);

      const confirmed = await act("confirm", held, headers);
      expect([confirmed.status, confirmed.body as object]).toEqual([200, asTold(held, "CONFIRMED")]);
      expect(await statusesOf(held)).toEqual(["reserved", "reserved"]);
      expect((await till.show(held, headers)).body.status).toBe("CONFIRMED");

      const cancelled = await act("cancel", held, headers);
      expect([cancelled.status, cancelled.body as object]).toEqual([200, asTold(held, "CANCELLED")]);
      expect(await statusesOf(held)).toEqual(["available", "available"]);
      expect((await till.show(held, headers)).body.status).toBe("CANCELLED");
    });

    test(`with ${who} extends it and releases it`, async () => {
      const held = await hold();
      const headers = headersOf(held);
      const extended = await act("extend", held, headers);
      expect(extended.status).toBe(200);
      expect(extended.body.status).toBe("HELD");
      expect(Date.parse(extended.body.expiresAt)).toBeGreaterThan(Date.parse(held.expiresAt));
      expect((await till.show(held, headers)).body.expiresAt).toBe(extended.body.expiresAt);

      const released = await act("release", held, headers);
      expect([released.status, released.body as object]).toEqual([200, asTold(held, "RELEASED")]);
      expect(await statusesOf(held)).toEqual(["available", "available"]);
      // Nobody is blocked by a hold of his own: at once, without a wait.
      expect((await till.hold({ seatIds: idsOf(held) })).status).toBe(201);
    });
  }

  test("is nobody else: another's token, none, or a reader's key gets the answer for what is not there", async () => {
    const [held, other] = [await hold(), await hold()];
    const nothing = await till.show({ reservationId: crypto.randomUUID() }, tokenOf(held));
    expectProblem(nothing, 404, "reservation-not-found");
    const before = await theatre.ledgerRowCount();
    for (const headers of [
      {},
      tokenOf(other),
      { "x-reservation-token": "" },
      { "x-reservation-token": held.token.slice(0, -1) },
      { "x-reservation-token": `${held.token}x` },
      { "x-reservation-token": held.token.toUpperCase() },
      { "x-reservation-token": held.reservationId },
    ] as Headed[]) {
      const answers = [await till.show(held, headers)];
      for (const action of ACTIONS) answers.push(await act(action, held, headers));
      for (const answer of answers) {
        expectProblem(answer, 404, "reservation-not-found");
        expect(answer.text).toBe(nothing.text);
      }
    }
    const asReader = await till.show(held, reader);
    expect([asReader.status, asReader.text]).toEqual([404, nothing.text]);
    for (const action of ACTIONS) expectProblem(await act(action, held, reader), 403, "forbidden");
    expect(await theatre.ledgerRowCount()).toBe(before);
    // With the token, a reader may look.
    expect((await till.show(held, { ...reader, ...tokenOf(held) })).status).toBe(200);
  });

  test("is told what it is already: each state refuses what it does not allow", async () => {
    const inState = async (...actions: Action[]) => {
      const held = await hold();
      for (const action of actions) expect((await act(action, held)).status).toBe(200);
      return held;
    };
    const states: [Held, Partial<Record<Action, string>>][] = [
      [await inState(), { cancel: "not-confirmed" }],
      [
        await inState("confirm"),
        { confirm: "already-confirmed", extend: "already-confirmed", release: "already-confirmed" },
      ],
      [
        await inState("release"),
        {
          ...{ confirm: "already-released", extend: "already-released" },
          ...{ release: "already-released", cancel: "already-released" },
        },
      ],
      [
        await inState("confirm", "cancel"),
        {
          ...{ confirm: "already-cancelled", extend: "already-cancelled" },
          ...{ release: "already-cancelled", cancel: "already-cancelled" },
        },
      ],
    ];
    const before = await theatre.ledgerRowCount();
    for (const [held, refusals] of states) {
      for (const [action, slug] of Object.entries(refusals) as [Action, string][]) {
        expectProblem(await act(action, held), 409, slug);
      }
    }
    expect(await theatre.ledgerRowCount()).toBe(before);
  });

  test("cannot cancel where the event takes nothing back", async () => {
    const held = await hold(final.seats.slice(0, 1));
    expect((await act("confirm", held)).status).toBe(200);
    expectProblem(await act("cancel", held), 409, "not-cancellable");
    expect(await statusesOf(held)).toEqual(["reserved"]);
  });

  test("cannot extend beyond the event's limit, counted from the beginning", async () => {
    const { seats } = await theatre.addEvent({ rows: 1, more: { holdTtlSeconds: 60, holdLimitSeconds: 60 } });
    const held = await hold(seats.slice(0, 2));
    expectProblem(await act("extend", held), 409, "extension-limit-reached");
    expect((await till.show(held, tokenOf(held))).body.expiresAt).toBe(held.expiresAt);
  });

  test("whose hold is over is told 410, and may still confirm what nobody has taken", async () => {
    const [kept, lost, left] = [
      await hold(brief.seats.slice(0, 2)),
      await hold(brief.seats.slice(2, 4)),
      await hold(brief.seats.slice(4, 6)),
    ];
    await isOver(left);
    expect((await till.show(left, tokenOf(left))).body.status).toBe("EXPIRED");
    for (const action of ["extend", "release"] as const) {
      expect(expectProblem(await act(action, left), 410, "reservation-expired").gone ?? []).toEqual([]);
    }
    expectProblem(await act("cancel", left), 409, "not-confirmed");

    const retaken = await act("confirm", kept);
    expect([retaken.status, retaken.body as object]).toEqual([200, asTold(kept, "CONFIRMED")]);

    const [first = 0, second = 0] = idsOf(lost);
    const rival = await hold([second]);
    expect((await act("confirm", rival)).status).toBe(200);
    const refused = expectProblem(await act("confirm", lost), 410, "reservation-expired");
    expect(refused.gone).toEqual([second]);
    expect(refused.detail).toContain(String(second));
    expect(refused.detail).not.toContain(String(first));
    await theatre.expectSound();
  });

  test("finds seats, reservations and ledger in agreement afterwards", () => theatre.expectSound());
});
