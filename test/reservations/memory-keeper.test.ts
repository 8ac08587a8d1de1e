import { describe, expect, spyOn, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { commitReservations } from "../../src/postgres/reserve.ts";
import { readChangedSeatsAfter, readMoment, readSeatChanges } from "../../src/postgres/seats.ts";
import { MemoryKeeper } from "../../src/reservations/memory-keeper.ts";
import { SeatMemory } from "../../src/venue/seat-memory.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { openSale, reserveOf, reserveOne } from "../postgres/sale.ts";

/** More than a page. */
const MANY_SEATS = 20_500;

const sale = useOpened(openSale, "test");

/** A keeper whose marks are taken when the test says so. */
function openKeeper() {
  const database = drizzle(sale.pool);
  const memory = new SeatMemory();
  const feed = { live: true };
  const keeper = new MemoryKeeper(database, memory, () => feed.live);
  const asked = spyOn(database, "execute");
  const mark = () => keeper.mark();
  const lookUps = () => asked.mock.calls.length;
  return { keeper, memory, feed, mark, lookUps };
}

const reserve = async (seatId: number) => reserveOne(await sale.session(), seatId, 0);

/** A seat changed without a ledger row, which only a reading of everything finds. */
const changeUnseen = (seatId: number) => sale.rows("update seats set version = 5 where id = $1", [seatId]);

describe("catching up", () => {
  test("is tried again after a first read that failed, though the feed is live", async () => {
    await sale.addSeat();
    const { keeper, memory, mark } = openKeeper();
    await sale.rows("alter table seats rename to seats_away");
    await expect(keeper.catchUp()).rejects.toThrow();
    await mark();
    expect(keeper.isFilled).toBe(false);
    await sale.rows("alter table seats_away rename to seats");
    await mark();
    keeper.close();
    expect([keeper.isFilled, memory.size]).toEqual([true, 1]);
  });

  test("reads every seat at first, page by page, whatever its state and however large its id", async () => {
    const seatIds = await sale.addSeats(MANY_SEATS);
    const far = Number.MAX_SAFE_INTEGER;
    const middling = 2 ** 34;
    await sale.rows("update seats set id = $2 where id = $1", [seatIds.at(-1), far]);
    await sale.rows("update seats set id = $2 where id = $1", [seatIds.at(-2), middling]);
    const [first = 0, sold = 0] = seatIds;
    await reserve(sold);
    const { keeper, memory } = openKeeper();
    await keeper.catchUp();
    keeper.close();
    expect(memory.size).toBe(MANY_SEATS);
    const some = [first, sold, middling, far];
    expect(some.map((id) => memory.versionOf(id))).toEqual([0, 1, 0, 0]);
    expect(some.map((id) => memory.isGone(id))).toEqual([false, true, false, false]);
  });

  test("says gone only for seats of an event that takes nothing back, and held for none", async () => {
    const [final, cancellable, held] = [
      await sale.addSeat(),
      await sale.addSeat("cancellable"),
      await sale.addSeat(),
    ];
    await reserve(final);
    await reserve(cancellable);
    await sale.rows(
      "update seats set status = 'held', version = 1, reservation_id = gen_random_uuid(), hold_expires_at = now() + interval '1 hour' where id = $1",
      [held],
    );
    const { keeper, memory } = openKeeper();
    await keeper.catchUp();
    keeper.close();
    expect([final, cancellable, held].map((id) => memory.isGone(id))).toEqual([true, false, false]);
    expect([final, cancellable, held].map((id) => memory.versionOf(id))).toEqual([1, 1, 1]);
  });

  test("finds afterwards what changed since, also in a transaction that was running then", async () => {
    const [running = 0, before = 0, later = 0] = await sale.addSeats(3);
    const session = await sale.session();
    await session.query("begin");
    await reserveOne(session, running, 0);
    await reserve(before);
    const { keeper, memory } = openKeeper();
    await keeper.catchUp();
    expect(memory.isGone(running)).toBe(false);

    await session.query("commit");
    await reserve(later);
    await keeper.catchUp();
    keeper.close();
    expect([before, running, later].map((id) => memory.isGone(id))).toEqual([true, true, true]);
  });

  test("finds afterwards what was committed while it read", async () => {
    const seatId = await sale.addSeat();
    const database = drizzle(sale.pool);
    const memory = new SeatMemory();
    const keeper = new MemoryKeeper(database, memory, () => true);
    const execute = database.execute.bind(database);
    let read = 0;
    const meanwhile = spyOn(database, "execute").mockImplementation(((
      query: Parameters<typeof execute>[0],
    ) => {
      // The moment is the first thing asked for, the largest id the second, the page of the upper half the fourth.
      const answer = execute(query);
      return ++read === 4 ? answer.then((rows) => reserve(seatId).then(() => rows)) : answer;
    }) as typeof execute);
    await keeper.catchUp();
    meanwhile.mockRestore();
    expect(memory.isGone(seatId)).toBe(false);
    await keeper.catchUp();
    keeper.close();
    expect(memory.isGone(seatId)).toBe(true);
  });

  test("waits for the one under way, shared by all who ask meanwhile, and reads what changed since", async () => {
    const seatId = await sale.addSeat();
    const { keeper, memory } = openKeeper();
    const first = keeper.catchUp();
    const others = [keeper.catchUp(), keeper.catchUp()];
    expect(others[0]).toBe(others[1] as Promise<void>);
    await first;
    await changeUnseen(seatId);
    await Promise.all(others);
    keeper.close();
    expect(memory.versionOf(seatId)).toBe(0);
  });

  test("does not read everything again", async () => {
    const seatId = await sale.addSeat();
    const { keeper, memory } = openKeeper();
    await keeper.catchUp();
    await changeUnseen(seatId);
    await keeper.catchUp();
    keeper.close();
    expect(memory.versionOf(seatId)).toBe(0);
  });

  test("reads everything again when its marks are forgotten", async () => {
    const seatId = await sale.addSeat();
    const { keeper, memory } = openKeeper();
    await keeper.catchUp();
    await changeUnseen(seatId);
    keeper.forget();
    await keeper.catchUp();
    keeper.close();
    expect(memory.versionOf(seatId)).toBe(5);
  });

  test("reads everything again in a new epoch, where transactions cannot be compared with the old", async () => {
    const seatId = await sale.addSeat();
    const { keeper, memory } = openKeeper();
    await keeper.catchUp();
    await sale.rows(
      "insert into ledger_epochs (epoch, system_identifier, timeline) values (2, 'elsewhere', 1)",
    );
    await changeUnseen(seatId);
    await keeper.catchUp();
    keeper.close();
    expect(memory.versionOf(seatId)).toBe(5);
  });
});

describe("what has changed since a moment", () => {
  const SOLD_SEATS = 300;
  /** Rows of the ledger that Postgres reads for a look. */
  const rowsRead = async (session: pg.PoolClient, look: () => Promise<unknown>) => {
    const readSoFar = async () => {
      const { rows } = await session.query<{ count: number }>(
        `select (seq_tup_read + idx_tup_fetch)::int as count from pg_stat_xact_user_tables
         where relname = 'seat_events'`,
      );
      return rows[0]?.count ?? 0;
    };
    await session.query("begin");
    const before = await readSoFar();
    await look();
    const after = await readSoFar();
    await session.query("commit");
    return after - before;
  };

  test("is read alone, however much was sold since somebody opened a transaction that still runs", async () => {
    const seatIds = await sale.addSeats(SOLD_SEATS);
    const [last = 0] = await sale.addSeats(1);
    const running = await sale.session();
    await running.query("begin");
    await running.query("select pg_current_xact_id()");
    const session = await sale.session();
    await commitReservations(
      session,
      seatIds.map((seatId) => reserveOf(seatId)),
    );
    const database = drizzle(session);
    const since = await readMoment(database);
    await reserve(last);
    expect(await rowsRead(session, () => readSeatChanges(database, since, [1]))).toBe(1);
    expect(await rowsRead(session, () => readChangedSeatsAfter(database, since, 0, SOLD_SEATS))).toBe(1);
  });
});

describe("marks", () => {
  test("let a catch-up begin at the one before the last: what was committed before a mark may be told after it", async () => {
    const [early = 0, late = 0] = await sale.addSeats(2);
    const { keeper, memory, mark } = openKeeper();
    await keeper.catchUp();
    await reserve(early);
    await mark();
    await reserve(late);
    await mark();
    await keeper.catchUp();
    keeper.close();
    expect([early, late].map((id) => memory.isGone(id))).toEqual([false, true]);
  });

  test("are not taken while the feed is lost: what is not heard then is read in their place", async () => {
    const seatId = await sale.addSeat();
    const { keeper, memory, feed, mark, lookUps } = openKeeper();
    await keeper.catchUp();
    const before = lookUps();
    feed.live = false;
    await reserve(seatId);
    await mark();
    keeper.close();
    expect(lookUps()).toBeGreaterThan(before);
    expect(memory.isGone(seatId)).toBe(true);
  });
});
