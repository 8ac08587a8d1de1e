import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { type Engine, openEngine } from "../engine/engines.ts";
import { type OwnPostgres, openOwnPostgres } from "../engine/own-postgres.ts";
import {
  type Answer,
  blockCommits,
  expectProblem,
  newKey,
  type OnSale,
  openTheatre,
  type Theatre,
  type Till,
  tillAt,
  tokenOf,
  UNLIMITED,
} from "../engine/reservations.ts";
import { type Network, startProxy } from "../fixtures/proxy.ts";
import { useStack } from "../fixtures/stack.ts";
import { until, untilWithin } from "../fixtures/until.ts";

// Row 10 of README.md, for what is held.

const QUICK_ANSWER_MS = 1000;
const AT_ONCE = 20;

describe("reservations while Postgres is unavailable", () => {
  const stack = useStack();
  let postgres: OwnPostgres;
  let proxy: Network;
  let engine: Engine;
  let theatre: Theatre;
  let till: Till;
  let house: OnSale;
  let nextSeat = 0;

  beforeAll(async () => {
    postgres = await openOwnPostgres(stack);
    proxy = await startProxy(postgres.url);
    stack.defer(proxy.stop);
    engine = await openEngine(stack, { DATABASE_URL: proxy.url, RESERVATION_WORKERS: "1", ...UNLIMITED });
    theatre = await openTheatre(stack, postgres.url);
    house = await theatre.addEvent({ rows: 20, seatsPerRow: 20, standing: 100 });
    till = tillAt(engine.url);
  });
  // Whatever a failed test has left behind is not the next one's trouble.
  beforeEach(async () => {
    await postgres.start();
    proxy.heal();
    await holdsAgain();
  });

  const seats = (count: number) => Array.from({ length: count }, () => house.seats[nextSeat++] ?? 0);
  const holdsAgain = () =>
    until(
      "seats are held again, without a restart",
      async () => (await till.hold({ seatIds: seats(1) })).status === 201,
    );
  const held = async () => {
    const answer = await till.hold({ seatIds: seats(2) });
    expect(answer.status).toBe(201);
    return answer.body;
  };
  const expectAway = (answer: Answer) => {
    const { reason } = expectProblem(answer, 503, "unavailable");
    expect(answer.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    expect([undefined, "unavailable"]).toContain(reason);
  };
  const statusOf = async (reservationId: string) => {
    const [row] = await theatre.facts.query<{ status: string }>(
      "select status::text from reservations where id = $1",
      [reservationId],
    );
    return row?.status;
  };
  const onMap = async (seatIds: number[], status: string) => {
    await untilWithin(5000, `the map says that the seats are ${status}`, async () => {
      const map = await till.map(house.eventId);
      return seatIds.every((id) => map.get(id) === status);
    });
  };
  const idsOf = ({ seats: own }: Answer["body"]) => own.map(({ seatId }) => seatId);

  test("are answered 503 soon and at once, and go on afterwards; a 503 is not kept for its key", async () => {
    const [kept, left] = [await held(), await held()];
    const key = newKey();
    const body = { seatIds: seats(2) };
    await postgres.stop();
    const asked = [
      () => till.hold(body, key),
      () => till.hold({ seatIds: body.seatIds }),
      () => till.hold({ eventId: house.eventId, section: "Floor", quantity: 2 }),
      () => till.hold({ seatIds: body.seatIds, buyerId: "Ann" }),
      () => till.act("confirm", kept, { ...tokenOf(kept), ...key }),
      () => till.act("confirm", kept, tokenOf(kept)),
      () => till.act("extend", left, tokenOf(left)),
      () => till.act("release", left, tokenOf(left)),
      () => till.act("cancel", left, tokenOf(left)),
      () => till.show(kept, tokenOf(kept)),
    ];
    for (const ask of asked) expectAway(await ask());
    const startedAt = performance.now();
    for (const answer of await Promise.all(asked.map((ask) => ask()))) expectAway(answer);
    expect(performance.now() - startedAt).toBeLessThan(QUICK_ANSWER_MS);

    await postgres.start();
    theatre = await openTheatre(stack, postgres.url);
    await holdsAgain();
    expect((await till.hold(body, key)).status).toBe(201);
    expect((await till.act("confirm", kept, { ...tokenOf(kept), ...newKey() })).status).toBe(200);
    expect((await till.act("release", left, tokenOf(left))).status).toBe(200);
    await theatre.expectSound();
  });

  test("that stops in full flow lose nothing: every 201 and 200 is kept, every 503 may be sent again", async () => {
    const sent = Array.from({ length: AT_ONCE * 3 }, (_, index) => ({
      key: newKey(),
      body: { seatIds: seats(2) },
      buyer: index,
    }));
    const first: Promise<Answer>[] = [];
    for (const [index, { key, body }] of sent.entries()) {
      const answer = till.hold(body, key);
      first.push(answer);
      if (index % 3 === 0) await answer;
      if (index === AT_ONCE) void postgres.crash();
    }
    const answers = await Promise.all(first);
    expect(answers.filter(({ status }) => status !== 201 && status !== 503)).toEqual([]);
    theatre = await until("Postgres is back", () => openTheatre(stack, postgres.url));
    await holdsAgain();
    for (const [index, { key, body }] of sent.entries()) {
      const again = await till.hold(body, key);
      expect(again.status).toBe(201);
      if (answers[index]?.status === 201) expect(again.text).toBe(answers[index].text);
      const confirmed = await till.act("confirm", again.body, tokenOf(again.body));
      expect(confirmed.status).toBe(200);
    }
    await theatre.expectSound();
  });

  /** Sends, lets the transaction commit while the engine's link hangs, then breaks the link and heals it. */
  const loseAnswer = async <Result>(send: () => Promise<Result>): Promise<Result> => {
    const before = await theatre.ledgerRowCount();
    const commits = await blockCommits(stack, postgres.url);
    const answer = send();
    try {
      await commits.areBlocked(1);
      proxy.hang();
    } finally {
      await commits.letGo();
    }
    await until("it is committed", async () => (await theatre.ledgerRowCount()) > before);
    proxy.cut();
    proxy.heal();
    return await answer;
  };

  // With keys, and holds: cut-in-commit.test.ts and lost-changes.test.ts.
  test("whose confirmation was committed unheard are told 200, and the map knows", async () => {
    const own = await held();
    const answer = await loseAnswer(() => till.act("confirm", own, tokenOf(own)));
    expect([answer.status, answer.body.status]).toEqual([200, "CONFIRMED"]);
    expect(await statusOf(own.reservationId)).toBe("confirmed");
    await onMap(idsOf(own), "reserved");
    await theatre.expectSound();
  });

  test("whose release was committed unheard are told 200, and the seats are free at once", async () => {
    const own = await held();
    const answer = await loseAnswer(() => till.act("release", own, tokenOf(own)));
    expect([answer.status, answer.body.status]).toEqual([200, "RELEASED"]);
    await onMap(idsOf(own), "available");
    await holdsAgain();
    expect((await till.hold({ seatIds: idsOf(own) })).status).toBe(201);
    await theatre.expectSound();
  });

  test("whose end was committed unheard are free on the map", async () => {
    const brief = await theatre.addEvent({ rows: 1, more: { holdTtlSeconds: 1, holdLimitSeconds: 1 } });
    const first = await till.hold({ seatIds: brief.seats.slice(0, 2) });
    expect(first.status).toBe(201);
    await loseAnswer(async () => undefined);
    await untilWithin(
      5000,
      "the map says that the seat is free",
      async () => (await till.map(brief.eventId)).get(brief.seats[0] ?? 0) === "available",
    );
    await theatre.expectSound();
  });

  test("whose hold was committed while nobody could be asked hear 503, and have it with the same key", async () => {
    const key = newKey();
    const body = { seatIds: seats(2) };
    const commits = await blockCommits(stack, postgres.url);
    const sent = till.hold(body, key);
    try {
      await commits.areBlocked(1);
      proxy.hang();
    } finally {
      await commits.letGo();
    }
    expectAway(await sent);
    proxy.heal();
    await holdsAgain();
    const again = await until("the hold is answered", async () => {
      const answer = await till.hold(body, key);
      return answer.status === 201 && answer;
    });
    expect([again.headers.get("idempotent-replayed"), idsOf(again.body)]).toEqual(["true", body.seatIds]);
    await onMap(body.seatIds, "held");
    await theatre.expectSound();
  });
});
