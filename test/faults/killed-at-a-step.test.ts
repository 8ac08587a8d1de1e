import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { bodyOf, openSale, reserve, type Sale } from "../engine/buyers.ts";
import { type Engine, openEngine } from "../engine/engines.ts";
import { expectPublished, readEvents } from "../engine/events.ts";
import { type Answer, tillAt, tokenOf } from "../engine/reservations.ts";
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import { sized } from "./sizes.ts";
import { STEPS } from "./steps.ts";
import { openWiredHouse, type WiredHouse } from "./wired-house.ts";

// Row 4 of README.md: SIGKILL at each named step, under load. At random moments: crash.test.ts,
// reservations-crash.test.ts.

const WAIT = { deadlineMs: 20_000 };
const LOAD_BUYERS = 8;
/** The number of seats that are sold before the fault strikes. */
const LOAD_FIRST = 50;
const ROUNDS = sized(1, 10);

describe.each(Array.from({ length: ROUNDS }, (_, index) => index + 1))(
  "an engine that is killed (%i)",
  () => {
    const stack = useStack();
    let house: WiredHouse;
    let engine: Engine;
    let load: Sale;
    let loadSeats: ArrayIterator<number>;

    beforeAll(async () => {
      house = await openWiredHouse(stack);
      loadSeats = house.load.seats.values();
      await restart();
    });
    /** Nobody who was told 201 has lost anything, and the ledger has a row where there is a change, and only there. */
    afterEach(async () => {
      const answers = await load.stop();
      expect(answers.filter(({ status }) => ![0, 201, 503].includes(status))).toEqual([]);
      const rows = new Set(
        (await house.theatre.facts.ledger()).map(
          (row) => `${row.seatId} ${row.version} ${row.reservationId}`,
        ),
      );
      const promised = answers.filter(({ status }) => status === 201).map(bodyOf);
      expect(
        promised.filter((body) => !rows.has(`${body.seatId} ${body.version} ${body.reservationId}`)),
      ).toEqual([]);
      await house.theatre.expectSound();
    });

    const restart = async () => {
      // A batch each, so that those which stand leave the load room.
      engine = await openEngine(stack, { ...house.env, BATCHES_PER_WORKER: String(LOAD_BUYERS + 4) });
    };
    const openLoad = async () => {
      load = openSale(engine.url, loadSeats, LOAD_BUYERS);
      await until("the load sells", () => load.won() >= LOAD_FIRST);
    };
    const storyOf = async (seatId: number) => {
      const rows = await house.theatre.facts.query<{ status: string; ids: number }>(
        "select status::text, count(*) over (partition by reservation_id)::int as ids from seat_events where seat_id = $1 order by version",
        [seatId],
      );
      return rows.map(({ status }) => status).join();
    };
    /** Also a ghost's lock and a transaction that nobody ends make "ask again" true for a moment. */
    const untilTold = (send: () => Promise<Answer>) =>
      until("a retry with the same key is answered", async () => {
        const answer = await send();
        return answer.status !== 409 && answer;
      });
    const allPublished = async () => {
      await house.theatre.facts.allPublished(WAIT.deadlineMs);
      const atLeast = (await house.theatre.facts.ledger()).length;
      const events = await readEvents({ file: house.eventsFile }, { ...WAIT, atLeast });
      return expectPublished(house.theatre.facts, events);
    };

    test.each(STEPS)("$name", async ({ isChanged, stand }) => {
      const till = tillAt(engine.url);
      const [[seatId = 0], basket] = [house.seats(1), house.seats(3)];
      const held = (await till.hold({ seatIds: house.seats(2) })).body;
      const own = held.seats.map((seat) => seat.seatId);
      const [holdKey, confirmKey] = [crypto.randomUUID(), crypto.randomUUID()];
      const hold = (url: string) => tillAt(url).hold({ seatIds: basket }, { "idempotency-key": holdKey });
      const confirm = (url: string) =>
        tillAt(url).act("confirm", held, { ...tokenOf(held), "idempotency-key": confirmKey });
      await openLoad();

      const { url } = engine;
      const unheard: Promise<{ status: number }>[] = [];
      const standing = await stand(house, {
        reserve: { seatId, send: () => unheard.push(reserve(url, seatId)) },
        hold: { seatIds: basket, key: holdKey, send: () => unheard.push(hold(url)) },
        confirm: { reservationId: held.reservationId, send: () => unheard.push(confirm(url)) },
      });
      await engine.kill();
      await standing.afterwards();
      expect((await Promise.all(unheard)).map(({ status }) => status)).toEqual([0, 0, 0]);
      const changed = ["RESERVED", "HELD", "HELD,RESERVED"];
      const stories = async () => [
        ...[await storyOf(seatId), await storyOf(basket[0] ?? 0), await storyOf(own[0] ?? 0)],
      ];
      if (isChanged) {
        await until("it is committed", async () => Bun.deepEquals(await stories(), changed));
      } else expect(await stories()).toEqual(["", "", "HELD"]);

      await restart();
      const again = [await untilTold(() => hold(engine.url)), await untilTold(() => confirm(engine.url))];
      expect(again.map(({ status }) => status)).toEqual([201, 200]);
      const replayed = isChanged ? "true" : null;
      expect(again.map(({ headers }) => headers.get("idempotent-replayed"))).toEqual([replayed, replayed]);
      const sold = await until("the seat is free or sold", async () => {
        const answer = await reserve(engine.url, seatId);
        return bodyOf(answer).reason !== "contended" && answer;
      });
      expect(sold.status).toBe(isChanged ? 409 : 201);
      expect(await stories()).toEqual(changed);
      for (const id of basket) expect(await storyOf(id)).toBe("HELD");
      for (const id of own) expect(await storyOf(id)).toBe("HELD,RESERVED");
      await allPublished();
    });

    test.each([
      ["before it has published what it has sold", 'order by "seat_events".epoch', "toClient"],
      ["when all is published and the cursor has not moved", "update ledger_cursors", "toServer"],
    ] as const)("%s: everything is published, repeated as it was", async (_, text, direction) => {
      const before = await allPublished();
      const reached = house.postgres.holdWhen(text, direction);
      await openLoad();
      const held = await reached;
      const [seatId = 0] = house.seats(1);
      const sold = await reserve(engine.url, seatId);
      expect(sold.status).toBe(201);
      await engine.kill();
      held.cut();
      await restart();
      const repeated = (await allPublished()) - before;
      if (direction === "toServer") expect(repeated).toBeGreaterThan(0);
      else expect(repeated).toBe(0);
      expect(bodyOf(await reserve(engine.url, seatId))).toMatchObject({
        status: "TAKEN",
        reason: "reserved",
      });
    });
  },
);
