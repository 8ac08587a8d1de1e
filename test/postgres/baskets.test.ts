import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { faultOf } from "../../src/postgres/faults.ts";
import { expectSound } from "../fixtures/sound.ts";
import { within } from "../fixtures/until.ts";
import {
  addEvent,
  addSeatsOf,
  age,
  change,
  reservationOf,
  type Terms,
  take,
  taken,
  takeRows,
  type Wish,
  wishFor,
} from "./reservations.ts";
import { only, openSale, type Sale } from "./sale.ts";

/** Far less than the statement may take: who answers within it has waited for nobody. */
const AT_ONCE_MS = 1000;
const MISSING = Number.MAX_SAFE_INTEGER;

let sale: Sale;
let eventId: number;
beforeAll(async () => {
  sale = await openSale();
  eventId = await addEvent(sale);
});
afterEach(async () => {
  await sale.endSessions();
  await expectSound(sale.url);
});
afterAll(() => sale.close());

const freeSeats = (count: number) => addSeatsOf(sale, eventId, count);
const untouched = { status: "available", version: 0, reservationId: null };

describe("a basket", () => {
  test("is won as one: each seat held until the same moment, one version and one row each", async () => {
    const seatIds = await freeSeats(4);
    const wish = await wishFor(sale, seatIds);
    const rows = await takeRows(await sale.session(), [wish]);
    expect(rows.map((row) => `${row?.verdict} ${row?.version}`)).toEqual(Array(4).fill("won 1"));
    expect(new Set(rows.map((row) => row?.hold?.[2])).size).toBe(1);
    for (const seatId of seatIds) {
      const { reservationId } = wish;
      expect(await sale.seat(seatId)).toEqual({ status: "held", version: 1, reservationId });
      expect(await sale.ledger(seatId)).toMatchObject([
        { version: 1, status: "HELD", reservationId, replaces: null },
      ]);
    }
  });

  test("keeps its seats and their prices in the order that was asked for", async () => {
    const [a = 0, b = 0, c = 0] = await freeSeats(3);
    const wish = await wishFor(sale, [c, a, b]);
    const rows = await takeRows(await sale.session(), [wish]);
    const pricesMinor = [15_003, 15_001, 15_002];
    expect(rows.map((row) => row?.hold?.slice(0, 2))).toEqual(pricesMinor.map((price) => [eventId, price]));
    expect(await reservationOf(sale, wish.reservationId)).toEqual({
      ...{ status: "held", eventId, seatIds: [c, a, b], pricesMinor, buyerId: null },
    });
  });

  test("ends by the database's clock, the event's time after the transaction began", async () => {
    const short = await addEvent(sale, { holdTtlSeconds: 90 });
    const wish = await wishFor(sale, await addSeatsOf(sale, short, 2));
    const rows = await takeRows(await sale.session(), [wish]);
    const { endsAtMs, lasts } = only(
      await sale.rows<{ endsAtMs: number; lasts: boolean }>(
        `select floor(extract(epoch from expires_at) * 1000)::float8 as "endsAtMs",
                expires_at - created_at = interval '90 seconds' as lasts from reservations where id = $1`,
        [wish.reservationId],
      ),
    );
    expect(lasts).toBe(true);
    expect(rows.map((row) => row?.hold?.[2])).toEqual([endsAtMs, endsAtMs]);
  });

  const obstacles: [string, string, (seatId: number) => Promise<unknown>][] = [
    ["reserved", "reserved", (seatId) => taken(sale, [seatId], { isHold: false })],
    ["held", "held", (seatId) => taken(sale, [seatId])],
    [
      "locked by another session",
      "contended",
      async (seatId) => {
        const rival = await sale.session();
        await rival.query("begin");
        await rival.query("select from seats where id = $1 for update", [seatId]);
      },
    ],
    [
      "at another version than was seen",
      "moved",
      async (seatId) => change(await sale.session(), await taken(sale, [seatId]), "release"),
    ],
  ];
  test.each(obstacles)(
    "with a seat that is %s changes none, and hurts no neighbour",
    async (_, verdict, block) => {
      const [first = 0, blocked = 0, last = 0, other = 0] = await freeSeats(4);
      const neighbour = await wishFor(sale, [other]);
      const early = await wishFor(sale, [first, blocked, last]);
      await block(blocked);
      const wish = verdict === "moved" ? early : await wishFor(sale, early.seatIds);
      const before = await sale.seat(blocked);
      const answer = take(await sale.session(), wish, neighbour);
      expect(await within(answer, AT_ONCE_MS, "the batch is answered")).toEqual([
        ["free", verdict as "held", "free"],
        ["won"],
      ]);
      expect([await sale.seat(first), await sale.seat(last)]).toEqual([untouched, untouched]);
      expect(await sale.seat(blocked)).toEqual(before);
      expect(await reservationOf(sale, wish.reservationId)).toBeUndefined();
    },
  );

  test("with a seat that does not exist changes none, and hurts no neighbour", async () => {
    const [first = 0, other = 0] = await freeSeats(2);
    const answer = await take(
      await sale.session(),
      await wishFor(sale, [first, MISSING]),
      await wishFor(sale, [other]),
    );
    expect(answer).toEqual([["free", "missing"], ["won"]]);
    expect(await sale.seat(first)).toEqual(untouched);
  });

  test("of two events is refused", async () => {
    const seatIds = [...(await freeSeats(1)), ...(await addSeatsOf(sale, await addEvent(sale), 1))];
    expect(await take(await sale.session(), await wishFor(sale, seatIds))).toEqual([["free", "free"]]);
    for (const seatId of seatIds) expect(await sale.seat(seatId)).toEqual(untouched);
  });

  test("of 20 goes in one batch with others of 20 and with single seats", async () => {
    const seatIds = (await freeSeats(84)).reverse();
    const basket = (more: Partial<Wish> = {}) => wishFor(sale, seatIds.splice(0, 20), more);
    const single = () => wishFor(sale, seatIds.splice(0, 1), { isHold: false });
    const blocked = await basket();
    await taken(sale, blocked.seatIds.slice(7, 8));
    const wishes = [await basket(), await single(), blocked, await single(), await basket(), await basket()];
    const verdicts = await take(await sale.session(), ...wishes);
    expect(verdicts.map((seats) => [...new Set(seats)].join())).toEqual([
      ...["won", "won", "free,held", "won", "won", "won"],
    ]);
    for (const { reservationId, seatIds, isHold } of wishes.filter((wish) => wish !== blocked))
      expect(await reservationOf(sale, reservationId)).toMatchObject({
        ...{ seatIds, status: isHold ? "held" : "confirmed" },
      });
  });

  test("that names a seat twice is undone as a whole, by the tripwire", async () => {
    const [twice = 0, other = 0] = await freeSeats(2);
    const attempt = take(
      await sale.session(),
      await wishFor(sale, [twice, twice]),
      await wishFor(sale, [other]),
    ).catch((reason: unknown) => reason);
    expect(faultOf(await attempt)).toBe("refused");
    for (const seatId of [twice, other]) expect(await sale.seat(seatId)).toEqual(untouched);
  });

  test("is undone as a whole when the update misses a seat that was locked for it", async () => {
    const [kept = 0, missed = 0] = await freeSeats(2);
    await sale.rows(`
      create function miss() returns trigger language plpgsql as $$ begin
        return case when old.id = ${missed} then null else new end; end $$;
      create trigger miss before update on seats for each row execute function miss()`);
    const attempt = await take(await sale.session(), await wishFor(sale, [kept, missed]))
      .catch((reason: unknown) => reason)
      .finally(() => sale.rows("drop trigger miss on seats"));
    expect(faultOf(attempt)).toBe("refused");
    for (const seatId of [kept, missed]) expect(await sale.seat(seatId)).toEqual(untouched);
  });
});

test.each([true, false])(
  "a writer that began before the seat's last change gets nothing (hold: %p)",
  async (isHold) => {
    const seatIds = await freeSeats(2);
    const early = await sale.session();
    await early.query("begin; select pg_current_xact_id()");
    await change(await sale.session(), await taken(sale, seatIds.slice(1)), "release");
    const verdicts = await take(early, await wishFor(sale, seatIds, { isHold }));
    await early.query("commit");
    expect(verdicts).toEqual([["free", "contended"]]);
  },
);

describe("a hold that is over", () => {
  test.each([true, false])(
    "is taken over in one change that names it, before it is swept (hold: %p)",
    async (isHold) => {
      const [first = 0, second = 0] = await freeSeats(2);
      const old = await taken(sale, [first, second]);
      await age(sale, old);
      const wish = await wishFor(sale, [second], { isHold });
      expect(await take(await sale.session(), wish)).toEqual([["won"]]);

      const { reservationId } = wish;
      const status = isHold ? "held" : "reserved";
      expect(await sale.seat(second)).toEqual({ status, version: 2, reservationId });
      expect((await sale.ledger(second)).slice(1)).toMatchObject([
        { version: 2, status: isHold ? "HELD" : "RESERVED", reservationId, replaces: old },
      ]);
      expect(await sale.seat(first)).toEqual({ status: "held", version: 1, reservationId: old });
      expect(await reservationOf(sale, old)).toMatchObject({ status: "held", seatIds: [first, second] });
    },
  );

  test("may be replaced together with free seats and with those of other holds that are over", async () => {
    const seatIds = await freeSeats(3);
    const [one, two] = [await taken(sale, seatIds.slice(0, 1)), await taken(sale, seatIds.slice(1, 2))];
    for (const old of [one, two]) await age(sale, old);
    expect(await take(await sale.session(), await wishFor(sale, seatIds))).toEqual([["won", "won", "won"]]);
    const ledgers = await Promise.all(seatIds.map((seatId) => sale.ledger(seatId)));
    expect(ledgers.map((rows) => rows.at(-1)?.replaces)).toEqual([one, two, null]);
  });

  test("and wanted at the version before it is moved, not taken", async () => {
    const seatIds = await freeSeats(1);
    const early = await wishFor(sale, seatIds);
    await age(sale, await taken(sale, seatIds));
    expect(await take(await sale.session(), early)).toEqual([["moved"]]);
  });
});

describe("an event", () => {
  const closed: [string, Partial<Terms>][] = [
    ["that is closed", { status: "closed" }],
    ["before its sale begins", { onSaleIn: "1 minute" }],
    ["from the end of its sale on", { offSaleIn: "0 seconds" }],
  ];
  test.each(closed)("%s sells nothing, in either way, and says so", async (_, terms) => {
    const seatIds = await addSeatsOf(sale, await addEvent(sale, terms), 2);
    const session = await sale.session();
    for (const more of [{ isHold: true }, { isHold: false }, { buyerId: "somebody" }])
      expect(await take(session, await wishFor(sale, seatIds, more))).toEqual([["closed", "closed"]]);
    for (const seatId of seatIds) expect(await sale.seat(seatId)).toEqual(untouched);
  });

  test("sells from the begin of its sale until the end", async () => {
    const selling = await addEvent(sale, { onSaleIn: "0 seconds", offSaleIn: "1 minute" });
    const seatIds = await addSeatsOf(sale, selling, 1);
    expect(await take(await sale.session(), await wishFor(sale, seatIds))).toEqual([["won"]]);
  });

  test("that limits its buyers gives nobody a seat who names no buyer", async () => {
    const seatIds = await addSeatsOf(sale, await addEvent(sale, { buyerLimitSeats: 4 }), 1);
    const session = await sale.session();
    for (const isHold of [true, false])
      expect(await take(session, await wishFor(sale, seatIds, { isHold }))).toEqual([["buyer_needed"]]);
    expect(await take(session, await wishFor(sale, seatIds, { buyerId: "somebody" }))).toEqual([["won"]]);
  });
});
