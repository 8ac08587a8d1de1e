import { describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { faultOf } from "../../src/postgres/faults.ts";
import { commitReservations } from "../../src/postgres/reserve.ts";
import { giveBack } from "../../src/postgres/settle.ts";
import { endHold, taken } from "./reservations.ts";
import { only, reserveOf, reserveOne } from "./sale.ts";
import { useSale } from "./use-sale.ts";

const UNKNOWN = -1;

const sale = useSale();

/** A seat that was sold and given back: free, at version 2. */
async function seatAtVersion2(): Promise<number> {
  const seatId = await sale.addSeat("cancellable");
  const session = await sale.session();
  const { reservationId } = await reserveOne(session, seatId, 0);
  await giveBack(drizzle(session), [{ reservationId, seatIds: [seatId] }], [[1]]);
  return seatId;
}

async function heldSeat(expiry: string): Promise<{ seatId: number; holder: string }> {
  const seatId = await sale.addSeat();
  const holder = await taken(sale, [seatId]);
  await endHold(sale, holder, expiry);
  return { seatId, holder };
}

const expectUntouched = async (seatId: number) => {
  expect(await sale.seat(seatId)).toEqual({ status: "available", version: 0, reservationId: null });
  expect(await sale.ledger(seatId)).toEqual([]);
};

describe("a free seat", () => {
  test("leaves one ledger row and one reservation row, in the transaction that changed it", async () => {
    const seatId = await sale.addSeat();
    const { reservationId } = await reserveOne(await sale.session(), seatId, 0);
    const { txid } = only(
      await sale.rows<{ txid: string }>("select last_txid::text as txid from seats where id = $1", [seatId]),
    );
    expect(await sale.ledger(seatId)).toEqual([
      { epoch: 1, txid, version: 1, status: "RESERVED", reservationId, replaces: null },
    ]);
    const written = await sale.rows(
      `select s.xmin = e.xmin and s.xmin = r.xmin as together, r.status::text, r.seat_count, r.event_id = s.event_id as same_event
       from seats s join seat_events e on e.seat_id = s.id join reservations r on r.id = e.reservation_id where s.id = $1`,
      [seatId],
    );
    expect(written).toEqual([{ together: true, status: "confirmed", seat_count: 1, same_event: true }]);
  });
});

describe("a seat that is not free", () => {
  test("says reserved, with its version, and for good only where the event takes nothing back", async () => {
    const session = await sale.session();
    for (const event of ["final", "cancellable"] as const) {
      const seatId = await sale.addSeat(event);
      const { reservationId } = await reserveOne(session, seatId, 0);
      for (const version of [UNKNOWN, 0, 1]) {
        const answer = await reserveOne(session, seatId, version);
        expect(answer).toMatchObject({ verdict: "reserved", version: 1, final: event === "final" });
      }
      expect(await sale.seat(seatId)).toEqual({ status: "reserved", version: 1, reservationId });
    }
  });

  test("says missing when its event does not exist: a refusal must be about the seat", async () => {
    const [seat] = await sale.rows<{ id: number }>(
      "insert into seats (event_id, seat_number, price_minor) values (987654, 'x', 1) returning id::float8",
    );
    const answer = await reserveOne(await sale.session(), seat?.id ?? 0, 0);
    expect(answer).toMatchObject({ verdict: "missing", final: false });
    await sale.rows("delete from seats where event_id = 987654");
  });
});

describe("a batch", () => {
  test("answers each seat for itself, in the order of the request", async () => {
    const session = await sale.session();
    const [sold = 0, free = 0, stale = 0] = [...(await sale.addSeats(2)), await seatAtVersion2()];
    await reserveOne(session, sold, 0);
    const { seatId: held } = await heldSeat("10 seconds");
    const answer = await commitReservations(session, [
      ...[reserveOf(stale, 1), reserveOf(free), reserveOf(Number.MAX_SAFE_INTEGER)],
      ...[reserveOf(held, 1), reserveOf(sold)],
    ]);
    expect(answer.flat().map(({ verdict, version }) => `${verdict} ${version}`)).toEqual([
      ...["moved 2", "won 1", "missing null", "held 1", "reserved 1"],
    ]);
  });

  test("of 256 seats is won as one", async () => {
    const seatIds = (await sale.addSeats(256)).reverse();
    const reservationIds = seatIds.map(() => Bun.randomUUIDv7());
    const orders = seatIds.map((seatId, index) => reserveOf(seatId, 0, reservationIds[index]));
    const answer = await commitReservations(await sale.session(), orders);
    expect(answer.flat().every(({ verdict, version }) => verdict === "won" && version === 1)).toBe(true);
    const owners = await sale.rows<{ id: string; reservation_id: string; last_txid: string }>(
      "select id, reservation_id, last_txid::text from seats where id = any($1)",
      [seatIds],
    );
    const ownerOf = new Map(owners.map((row) => [Number(row.id), row.reservation_id]));
    expect<unknown>(seatIds.map((seatId) => ownerOf.get(seatId))).toEqual(reservationIds);
    expect(new Set(owners.map((row) => row.last_txid)).size).toBe(1);
  });

  test("with a reservation id that exists already is refused as a whole and leaves nothing", async () => {
    const [used = 0, first = 0, second = 0] = await sale.addSeats(3);
    const session = await sale.session();
    const { reservationId } = await reserveOne(session, used, 0);
    const fresh = Bun.randomUUIDv7();
    const error = await commitReservations(session, [
      reserveOf(first, 0, fresh),
      reserveOf(second, 0, reservationId),
    ]).catch((reason: unknown) => reason);
    expect(faultOf(error)).toBe("refused");
    await expectUntouched(first);
    await expectUntouched(second);
    expect(await sale.rows("select from reservations where id = $1", [fresh])).toEqual([]);
  });

  test("is undone as a whole when the update misses a seat that was locked for it", async () => {
    const [kept = 0, missed = 0] = await sale.addSeats(2);
    await sale.rows(`
      create function miss() returns trigger language plpgsql as $$ begin
        return case when old.id = ${missed} then null else new end; end $$;
      create trigger miss before update on seats for each row execute function miss()`);
    const error = await commitReservations(await sale.session(), [reserveOf(kept), reserveOf(missed)])
      .catch((reason: unknown) => reason)
      .finally(() => sale.rows("drop trigger miss on seats"));
    expect(faultOf(error)).toBe("refused");
    await expectUntouched(kept);
    await expectUntouched(missed);
  });
});
