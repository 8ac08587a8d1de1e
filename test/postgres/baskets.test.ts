import { describe, expect, test } from "bun:test";
import { faultOf } from "../../src/postgres/faults.ts";
import { within } from "../fixtures/until.ts";
import {
  addEvent,
  addSeatsOf,
  change,
  reservationOf,
  take,
  taken,
  takeRows,
  type Wish,
  wishFor,
} from "./reservations.ts";
import { only } from "./sale.ts";
import { earlySession, lockSeats, useEvent, useSale } from "./use-sale.ts";

/** Far less than the statement may take: who answers within it has waited for nobody. */
const AT_ONCE_MS = 1000;

const sale = useSale();
const { freeSeats } = useEvent(sale);

const untouched = { status: "available", version: 0, reservationId: null };

describe("a basket", () => {
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
    ["locked by another session", "contended", (seatId) => lockSeats(sale, [seatId])],
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
    const early = await earlySession(sale);
    await change(await sale.session(), await taken(sale, seatIds.slice(1)), "release");
    const verdicts = await take(early, await wishFor(sale, seatIds, { isHold }));
    await early.query("commit");
    expect(verdicts).toEqual([["free", "contended"]]);
  },
);
