import { beforeAll, describe, expect, test } from "bun:test";
import { type Engine, openEngine } from "../engine/engines.ts";
import { type Answer, expectProblem, newKey, tillAt, tokenOf } from "../engine/reservations.ts";
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import { sized } from "./sizes.ts";
import { openWiredHouse, type WiredHouse } from "./wired-house.ts";

// Row 11 of README.md. What a key means otherwise is in test/engine/reservations-idempotency.test.ts.

const AT_ONCE = 50;
const ROUNDS = sized(6, 60);
const WAIT = { deadlineMs: 20_000 };

describe("one Idempotency-Key, many times", () => {
  const stack = useStack();
  let house: WiredHouse;
  /** By way of the wires. */
  let here: Engine;
  /** On the same database, by links of its own. */
  let there: Engine;

  beforeAll(async () => {
    house = await openWiredHouse(stack);
    here = await openEngine(stack, house.env);
    there = await openEngine(stack, {
      ...{ ...house.env, DATABASE_URL: house.theatre.databaseUrl },
      ...(house.redisUrl && { REDIS_URL: house.redisUrl }),
    });
  });

  const isReplay = ({ headers }: Answer) => headers.get("idempotent-replayed") === "true";
  /** Of seats that were held for a key: one reservation, one row each, and the same text for everybody. */
  const expectOneHold = async (key: Record<string, string>, seatIds: number[], answers: Answer[]) => {
    const won = answers.filter(({ status }) => status === 201);
    expect(new Set(won.map(({ text }) => text)).size).toBe(1);
    const rows = await house.theatre.facts.query(
      `select l.seat_id::int as "seatId", l.status::text, l.version, l.reservation_id = k.reservation_id as "isKeys"
       from seat_events l, idempotency_keys k where k.key = $1 and l.seat_id = any($2::bigint[]) order by l.seat_id`,
      [key["idempotency-key"], seatIds],
    );
    expect(rows).toEqual(seatIds.map((seatId) => ({ seatId, status: "HELD", version: 1, isKeys: true })));
  };
  const expectRunning = (answer: Answer) => {
    expectProblem(answer, 409, "request-in-progress");
    expect(answer.headers.get("retry-after")).toMatch(/^[123]$/);
  };

  for (const [where, urls] of [
    ["at one process", () => [here.url]],
    ["at two processes", () => [here.url, there.url]],
  ] as [string, () => string[]][]) {
    test(`${AT_ONCE} times at once ${where}, and ${AT_ONCE} times more: one reservation, one answer`, async () => {
      const tills = urls().map(tillAt);
      for (let round = 0; round < ROUNDS; round++) {
        const key = newKey();
        const body = { seatIds: house.seats(2) };
        const crowd = () =>
          Promise.all(
            Array.from({ length: AT_ONCE }, (_, index) => tills[index % tills.length]?.hold(body, key)),
          ).then((answers) => answers.filter((answer) => answer !== undefined));
        const first = await crowd();
        const later = await crowd();
        for (const answer of [...first, ...later]) if (answer.status !== 201) expectRunning(answer);
        const isFirst = (answer: Answer) => answer.status === 201 && !isReplay(answer);
        expect([first.filter(isFirst).length, later.filter(isFirst).length]).toEqual([1, 0]);
        await expectOneHold(key, body.seatIds, [...first, ...later]);
      }
      await house.theatre.expectSound();
    });
  }

  test("while its first request is being decided: 409 and Retry-After here and there, for that and for another body", async () => {
    const key = newKey();
    const body = { seatIds: house.seats(2) };
    const other = { seatIds: house.seats(2) };
    const reached = house.postgres.holdWhen(String(body.seatIds[0]), "toClient");
    const first = tillAt(here.url).hold(body, key);
    const held = await reached;
    for (const till of [tillAt(here.url), tillAt(there.url)]) {
      expectRunning(await till.hold(body, key));
      expectRunning(await till.hold(other, key));
    }
    held.release();
    const answer = await first;
    expect([answer.status, isReplay(answer)]).toEqual([201, false]);
    for (const till of [tillAt(here.url), tillAt(there.url)]) {
      expectProblem(await till.hold(other, key), 422, "idempotency-key-reused");
      const again = await till.hold(body, key);
      expect([again.text, isReplay(again)]).toEqual([answer.text, true]);
    }
    await expectOneHold(key, body.seatIds, [answer]);
    // The other seats were never touched.
    expect((await tillAt(there.url).hold(other)).status).toBe(201);
  });

  test("at a process that is killed among them: afterwards the same answer at both, for hold and confirmation", async () => {
    const [holdKey, confirmKey] = [newKey(), newKey()];
    const body = { seatIds: house.seats(2) };
    const confirmed = (await tillAt(there.url).hold({ seatIds: house.seats(2) })).body;
    const headers = { ...confirmKey, ...tokenOf(confirmed) };
    const send = (url: string, times: number) => {
      const till = tillAt(url);
      return Array.from({ length: times }, () => [
        till.hold(body, holdKey),
        till.act("confirm", confirmed, headers),
      ]).flat();
    };
    const reached = house.postgres.holdWhen(String(body.seatIds[0]), "toClient");
    const before = send(here.url, AT_ONCE / 2);
    const held = await reached;
    // Committed, and nobody has heard of it.
    const committing = held.releaseUntil("commit\0", "toClient");
    const committed = await committing;
    const beside = send(there.url, AT_ONCE / 2);
    await here.kill();
    committed.cut();
    const told = await Promise.all([...before, ...beside]);
    expect(told.filter(({ status }) => ![0, 200, 201, 409].includes(status))).toEqual([]);
    for (const answer of told) if (answer.status === 409) expectRunning(answer);

    here = await openEngine(stack, house.env);
    const untilTold = (send: () => Promise<Answer>) =>
      until("the lost transaction is over", async () => {
        const answer = await send();
        return answer.status !== 409 && answer;
      });
    const answers = { hold: new Set<string>(), confirm: new Set<string>() };
    for (const { status, text } of told) {
      if (status === 201) answers.hold.add(text);
      if (status === 200) answers.confirm.add(text);
    }
    for (const url of [here.url, there.url, here.url]) {
      answers.hold.add((await untilTold(() => tillAt(url).hold(body, holdKey))).text);
      answers.confirm.add((await untilTold(() => tillAt(url).act("confirm", confirmed, headers))).text);
    }
    expect([answers.hold.size, answers.confirm.size]).toEqual([1, 1]);
    expect([...answers.hold][0]).toContain('"HELD"');
    expect([...answers.confirm][0]).toContain('"CONFIRMED"');
    const rows = await house.theatre.facts.query<{ status: string; count: number }>(
      `select status::text, count(*)::int from seat_events where seat_id = any($1::bigint[]) group by status order by 1`,
      [[...body.seatIds, ...confirmed.seats.map(({ seatId }) => seatId)]],
    );
    expect(rows).toEqual([
      { status: "HELD", count: 4 },
      { status: "RESERVED", count: 2 },
    ]);
    await house.theatre.expectSound();
    await house.theatre.facts.allPublished(WAIT.deadlineMs);
  });
});
