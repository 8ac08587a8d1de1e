import { beforeAll, describe, expect, test } from "bun:test";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis, startRedis } from "../fixtures/redis.ts";
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import {
  type Answer,
  expectProblem,
  type Headed,
  type OnSale,
  openTheatre,
  type Theatre,
  type Till,
  tokenOf,
} from "./reservations.ts";

const redisFound = await partOrSkip("redis", findRedis);

const AT_ONCE = 50;
const ROUNDS = 8;

describe("an Idempotency-Key at two engines on one database", () => {
  const stack = useStack();
  let theatre: Theatre;
  let here: Till;
  let there: Till;
  let house: OnSale;
  /** From the last row on: the best are in the first. */
  let nextSeat = -1;

  beforeAll(async () => {
    const redis = redisFound ? await startRedis() : undefined;
    if (redis) stack.defer(redis.stop);
    theatre = await openTheatre(stack);
    house = await theatre.addEvent({ rows: 20, seatsPerRow: 20, standing: 100 });
    const env = redis && { REDIS_URL: redis.url };
    here = await theatre.openTill(env);
    there = await theatre.openTill(env);
  });

  const newKey = (): Headed => ({ "idempotency-key": crypto.randomUUID() });
  const seats = (count: number) => Array.from({ length: count }, () => house.seats.at(nextSeat--));
  const reservationsOf = (key: Headed) =>
    theatre.facts.query<{ id: string }>("select reservation_id as id from idempotency_keys where key = $1", [
      key["idempotency-key"],
    ]);
  /** Bit for bit what was answered first, and told to be that. */
  const expectReplay = (answer: Answer, first: Answer) => {
    expect([answer.status, answer.text]).toEqual([first.status, first.text]);
    expect(answer.headers.get("idempotent-replayed")).toBe("true");
    expect(answer.headers.get("location")).toBe(first.headers.get("location"));
  };

  test("is answered as at first, bit for bit, here and there, whatever became of the hold since", async () => {
    const key = newKey();
    const body = { seatIds: seats(3) };
    const first = await here.hold(body, key);
    expect([first.status, first.headers.get("idempotent-replayed")]).toEqual([201, null]);
    expectReplay(await here.hold(body, key), first);
    expectReplay(await there.hold(body, key), first);
    for (const action of ["extend", "confirm", "cancel"] as const) {
      expect((await there.act(action, first.body, tokenOf(first.body))).status).toBe(200);
      const rows = await theatre.ledgerRowCount();
      expectReplay(await here.hold(body, key), first);
      expectReplay(await there.hold(body, key), first);
      expect(await theatre.ledgerRowCount()).toBe(rows);
    }
  });

  test("does not care how the same JSON is written", async () => {
    const key = newKey();
    const [one, other] = seats(2);
    const first = await here.hold(`{"seatIds":[${one},${other}],"buyerId":"Ann"}`, key);
    expectReplay(await here.hold(` { "buyerId":"A\\u006en", "seatIds": [ ${one}, ${other}.0 ]}`, key), first);
  });

  test("with another request is answered 422", async () => {
    const key = newKey();
    const [one, other] = seats(2);
    const first = await here.hold({ seatIds: [one] }, key);
    expectProblem(await here.hold({ seatIds: [other] }, key), 422, "idempotency-key-reused");
    expectProblem(await there.hold({ seatIds: [one], buyerId: "x" }, key), 422, "idempotency-key-reused");
    expect((await here.hold({ seatIds: [other] })).status).toBe(201);
    expectReplay(await there.hold({ seatIds: [one] }, key), first);
  });

  test("that chose seats itself replays those seats", async () => {
    for (const wish of [{ section: "Floor", quantity: 3 }, { bestAvailable: { quantity: 3 } }]) {
      const key = newKey();
      const body = { eventId: house.eventId, ...wish };
      const first = await here.hold(body, key);
      expect(first.status).toBe(201);
      expectReplay(await there.hold(body, key), first);
      expectReplay(await here.hold(body, key), first);
    }
  });

  test("is still answered when the same would be refused by now", async () => {
    const { eventId, seats: own } = await theatre.addEvent({ rows: 1, more: { buyerLimitSeats: 4 } });
    const key = newKey();
    const body = { seatIds: own.slice(0, 4), buyerId: "Ann" };
    const first = await here.hold(body, key);
    expect(first.status).toBe(201);
    expectReplay(await there.hold(body, key), first);
    await theatre.facts.query(
      "update events set status = 'closed', reservation_limit_seats = 2, revision = nextval('catalogue_revision') where id = $1",
      [eventId],
    );
    const isKnown = (till: Till) => async () =>
      (await till.hold({ seatIds: own.slice(4, 8), buyerId: "Bob" })).status === 400;
    await until("the change of the event is known here", isKnown(here));
    await until("the change of the event is known there", isKnown(there));
    expectReplay(await here.hold(body, key), first);
    expectReplay(await there.hold(body, key), first);
  });

  test("sent 50 times at once is one reservation: every answer is that one or says to wait", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const key = newKey();
      const wishes = [
        { seatIds: seats(2) },
        { eventId: house.eventId, bestAvailable: { quantity: 2 } },
        { eventId: house.eventId, section: "Floor", quantity: 2 },
        { seatIds: seats(1), buyerId: `buyer ${round}` },
      ];
      const body = wishes[round % wishes.length];
      const before = await theatre.ledgerRowCount();
      const answers = await Promise.all(
        Array.from({ length: AT_ONCE }, (_, index) => (index % 2 ? here : there).hold(body, key)),
      );
      const won = answers.filter(({ status }) => status === 201);
      expect(new Set(won.map(({ text }) => text)).size).toBe(1);
      expect(won.filter(({ headers }) => !headers.has("idempotent-replayed"))).toHaveLength(1);
      for (const answer of answers) {
        if (answer.status === 201) continue;
        expectProblem(answer, 409, "request-in-progress");
        expect(answer.headers.get("retry-after")).toMatch(/^[123]$/);
      }
      const [winner] = won;
      expect(await reservationsOf(key)).toEqual([{ id: winner?.body.reservationId ?? "" }]);
      expect((await theatre.ledgerRowCount()) - before).toBe(winner?.body.seats.length ?? 0);
    }
    await theatre.expectSound();
  });

  test("that was answered 409 may be sent again until it can be had", async () => {
    const key = newKey();
    const [seat] = seats(1);
    const rival = await there.hold({ seatIds: [seat] });
    expectProblem(await here.hold({ seatIds: [seat] }, key), 409, "seats-taken");
    expect(await reservationsOf(key)).toEqual([]);
    await there.act("release", rival.body, tokenOf(rival.body));
    const answer = await here.hold({ seatIds: [seat] }, key);
    expect([answer.status, answer.headers.get("idempotent-replayed")]).toEqual([201, null]);
  });

  test("is the caller's own: the same of two API keys, and of none, is three", async () => {
    const key = newKey();
    const [ann, bob] = [await theatre.key("seller"), await theatre.key("seller")];
    const [one, two, three] = seats(3);
    const first = await here.hold({ seatIds: [one] }, { ...key, ...ann });
    const second = await here.hold({ seatIds: [two] }, { ...key, ...bob });
    const third = await here.hold({ seatIds: [three] }, key);
    expect([first.status, second.status, third.status]).toEqual([201, 201, 201]);
    expectReplay(await there.hold({ seatIds: [one] }, { ...key, ...ann }), first);
    expectProblem(await there.hold({ seatIds: [one] }, { ...key, ...bob }), 422, "idempotency-key-reused");
  });

  test("is forgotten after a day", async () => {
    const key = newKey();
    const [seat, other] = seats(2);
    expect((await here.hold({ seatIds: [seat] }, key)).status).toBe(201);
    const age = (hours: number) =>
      theatre.facts.query(
        "update idempotency_keys set created_at = now() - $1 * interval '1 hour' where key = $2",
        [hours, key["idempotency-key"]],
      );
    await age(23.9);
    expectProblem(await here.hold({ seatIds: [other] }, key), 422, "idempotency-key-reused");
    await age(24.1);
    expect((await here.hold({ seatIds: [other] }, key)).status).toBe(201);
  });

  test("of a change replays it here and there, and is one with its reservation and action", async () => {
    const [held, other] = [
      (await here.hold({ seatIds: seats(2) })).body,
      (await here.hold({ seatIds: seats(2) })).body,
    ];
    const key = newKey();
    const headers = { ...key, ...tokenOf(held) };
    const extended = await here.act("extend", held, headers);
    expect(extended.status).toBe(200);
    await until(
      "a later end",
      async () => (await here.act("extend", held, tokenOf(held))).body.expiresAt > extended.body.expiresAt,
    );
    expectReplay(await there.act("extend", held, headers), extended);
    expectProblem(await there.act("confirm", held, headers), 422, "idempotency-key-reused");

    const confirming = { ...newKey(), ...tokenOf(held) };
    const confirmed = await there.act("confirm", held, confirming);
    expect(confirmed.status).toBe(200);
    const rows = await theatre.ledgerRowCount();
    expectReplay(await here.act("confirm", held, confirming), confirmed);
    expectReplay(await there.act("confirm", held, confirming), confirmed);
    expect(await theatre.ledgerRowCount()).toBe(rows);
    // Without the key it is what it is.
    expectProblem(await here.act("confirm", held, tokenOf(held)), 409, "already-confirmed");
    expect((await here.act("confirm", other, { ...confirming, ...tokenOf(other) })).status).toBe(200);
  });

  test("of a confirmation sent 50 times at once confirms once", async () => {
    const held = (await here.hold({ seatIds: seats(2) })).body;
    const headers = { ...newKey(), ...tokenOf(held) };
    const before = await theatre.ledgerRowCount();
    const answers = await Promise.all(
      Array.from({ length: AT_ONCE }, (_, index) => (index % 2 ? here : there).act("confirm", held, headers)),
    );
    const done = answers.filter(({ status }) => status === 200);
    expect(new Set(done.map(({ text }) => text)).size).toBe(1);
    expect(done.filter(({ headers: told }) => !told.has("idempotent-replayed"))).toHaveLength(1);
    for (const answer of answers)
      if (answer.status !== 200) expectProblem(answer, 409, "request-in-progress");
    expect((await theatre.ledgerRowCount()) - before).toBe(2);
    await theatre.expectSound();
  });
});
