import { describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { faultOf } from "../../src/postgres/faults.ts";
import { commitReservations } from "../../src/postgres/reserve.ts";
import { giveBack, type LostOrder, settle } from "../../src/postgres/settle.ts";
import { until, within } from "../fixtures/until.ts";
import { only, reserveOf, reserveOne } from "./sale.ts";
import { earlySession, useSale } from "./use-sale.ts";

const sale = useSale();

const lostOrders = (seatId: number, reservationId: string): LostOrder[] => [
  { reservationId, seatIds: [seatId] },
];

const settleOne = async (session: pg.PoolClient, seatId: number, reservationId: string) =>
  only(await settle(drizzle(session), lostOrders(seatId, reservationId)))?.[0];

/** Until that session waits for another's transaction to end. */
async function untilItWaits(session: pg.PoolClient): Promise<void> {
  const { processID } = session as unknown as { processID: number };
  await until(
    `backend ${processID} waits for another transaction`,
    async () =>
      (
        await sale.rows("select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'", [
          processID,
        ])
      ).length > 0,
  );
}

describe("settling a doubt", () => {
  test("finds what was committed, with its version", async () => {
    const seatId = await sale.addSeat();
    const session = await sale.session();
    const { reservationId } = await reserveOne(session, seatId, 0);
    expect(await settleOne(session, seatId, reservationId)).toBe(1);
    expect((await sale.seat(seatId)).reservationId).toBe(reservationId);
  });

  test("tells each order of a batch for itself, in order", async () => {
    const session = await sale.session();
    const [lost = 0, sold = 0, other = 0] = await sale.addSeats(3);
    const { reservationId } = await reserveOne(session, sold, 0);
    await reserveOne(session, other, 0);
    const settled = await settle(drizzle(session), [
      ...lostOrders(lost, Bun.randomUUIDv7()),
      ...lostOrders(sold, reservationId),
      ...lostOrders(other, Bun.randomUUIDv7()),
    ]);
    expect(settled).toEqual([null, [1], null]);
  });

  test.each([
    ["commit", 1],
    ["rollback", undefined],
  ])("waits for a statement that still runs, and tells the truth after its %s", async (end, version) => {
    const seatId = await sale.addSeat();
    const [lost, settling] = [await sale.session(), await sale.session()];
    await lost.query("begin");
    const { reservationId } = await reserveOne(lost, seatId, 0);

    const settled = settleOne(settling, seatId, reservationId);
    await untilItWaits(settling);
    await lost.query(end);
    expect(await within(settled, 5000, "the doubt is settled")).toBe(version);
    expect((await sale.seat(seatId)).version).toBe(version ?? 0);
  });

  test.each(["alone", "with the rest of its batch"])(
    "makes sure that what has not begun by then can never be committed: %s",
    async (how) => {
      const [seatId = 0, neighbour = 0] = await sale.addSeats(2);
      const session = await sale.session();
      const reservationId = Bun.randomUUIDv7();
      expect(await settleOne(session, seatId, reservationId)).toBeUndefined();

      const order = reserveOf(seatId, 0, reservationId);
      const orders = how === "alone" ? [order] : [reserveOf(neighbour), order];
      const late = await commitReservations(session, orders).catch((error: unknown) => error);
      expect(faultOf(late)).toBe("refused");
      for (const id of [seatId, neighbour]) expect((await sale.seat(id)).version).toBe(0);
    },
  );

  test("gives the same answer when it is asked again, since its own answer can be lost too", async () => {
    const [sold = 0, lost = 0] = await sale.addSeats(2);
    const session = await sale.session();
    const { reservationId } = await reserveOne(session, sold, 0);
    const doubt = [...lostOrders(sold, reservationId), ...lostOrders(lost, Bun.randomUUIDv7())];
    const first = await settle(drizzle(session), doubt);
    expect(await settle(drizzle(session), doubt)).toEqual(first);
    expect(first).toEqual([[1], null]);
  });
});

describe("giving back", () => {
  test("frees the seat in one change: version +1, a CANCELLED row, the reservation cancelled", async () => {
    const seatId = await sale.addSeat();
    const session = await sale.session();
    const { reservationId } = await reserveOne(session, seatId, 0);
    await giveBack(drizzle(session), lostOrders(seatId, reservationId), [[1]]);

    expect(await sale.seat(seatId)).toEqual({ status: "available", version: 2, reservationId: null });
    expect(await sale.ledger(seatId)).toMatchObject([
      { version: 1, status: "RESERVED", reservationId },
      { version: 2, status: "CANCELLED", reservationId },
    ]);
    const reservation = await sale.rows("select status::text from reservations where id = $1", [
      reservationId,
    ]);
    expect(only(reservation)).toEqual({ status: "cancelled" });
  });

  test("leaves alone what was not committed", async () => {
    const [sold = 0, free = 0] = await sale.addSeats(2);
    const session = await sale.session();
    const { reservationId } = await reserveOne(session, sold, 0);
    const doubt = [...lostOrders(free, Bun.randomUUIDv7()), ...lostOrders(sold, reservationId)];
    await giveBack(drizzle(session), doubt, [null, [1]]);
    expect([(await sale.seat(free)).version, (await sale.seat(sold)).version]).toEqual([0, 2]);
  });

  test("does nothing to a seat that has moved on to another buyer", async () => {
    const seatId = await sale.addSeat();
    const session = await sale.session();
    const first = await reserveOne(session, seatId, 0);
    await giveBack(drizzle(session), lostOrders(seatId, first.reservationId), [[1]]);
    const second = await reserveOne(session, seatId, 2);

    for (const version of [1, 2, 3]) {
      await giveBack(drizzle(session), lostOrders(seatId, first.reservationId), [[version]]);
    }
    expect(await sale.seat(seatId)).toEqual({
      status: "reserved",
      version: 3,
      reservationId: second.reservationId,
    });
    expect(await sale.ledger(seatId)).toHaveLength(3);
  });

  test("does not change what settling says: the version at which the seat was sold", async () => {
    const seatId = await sale.addSeat();
    const session = await sale.session();
    const { reservationId } = await reserveOne(session, seatId, 0);
    await giveBack(drizzle(session), lostOrders(seatId, reservationId), [[1]]);
    expect(await settleOne(session, seatId, reservationId)).toBe(1);
  });

  test("frees a seat once, also when it is settled and given back again", async () => {
    const seatId = await sale.addSeat();
    const session = await sale.session();
    const doubt = lostOrders(seatId, (await reserveOne(session, seatId, 0)).reservationId);
    for (let time = 0; time < 2; time++) {
      await giveBack(drizzle(session), doubt, await settle(drizzle(session), doubt));
    }
    expect((await sale.seat(seatId)).version).toBe(2);
    expect(await sale.ledger(seatId)).toHaveLength(2);
  });

  test("changes nothing in a transaction that began before the seat's last change", async () => {
    const seatId = await sale.addSeat();
    const early = await earlySession(sale);
    const { reservationId } = await reserveOne(await sale.session(), seatId, 0);
    await giveBack(drizzle(early), lostOrders(seatId, reservationId), [[1]]);
    await early.query("commit");
    expect(await sale.seat(seatId)).toEqual({ status: "reserved", version: 1, reservationId });
  });

  test("waits for a row that somebody looks at, and frees it then", async () => {
    const seatId = await sale.addSeat();
    const [session, looking] = [await sale.session(), await sale.session()];
    const { reservationId } = await reserveOne(session, seatId, 0);
    await looking.query("begin");
    await looking.query("select from seats where id = $1 for update", [seatId]);
    const given = giveBack(drizzle(session), lostOrders(seatId, reservationId), [[1]]);
    await untilItWaits(session);
    await looking.query("commit");
    await given;
    expect((await sale.seat(seatId)).status).toBe("available");
  });
});
