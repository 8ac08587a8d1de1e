import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { giveBack } from "../../src/postgres/settle.ts";
import { contradictions, openSale, reserveOne, type Sale } from "./sale.ts";

let sale: Sale;
beforeAll(async () => {
  sale = await openSale();
});
afterEach(() => sale.endSessions());
afterAll(() => sale.close());

/** A seat sold, given back and sold again: versions 1, 2, 3. */
async function seatWithHistory(): Promise<number> {
  const seatId = await sale.addSeat();
  const session = await sale.session();
  const { reservationId } = await reserveOne(session, seatId, 0);
  await giveBack(drizzle(session), { seatIds: [seatId], reservationIds: [reservationId] }, [1]);
  await reserveOne(session, seatId, 2);
  return seatId;
}

test("finds no contradiction in an ordinary history", async () => {
  await seatWithHistory();
  expect(await contradictions(sale)).toEqual([]);
});

test.each([
  [
    "versions without a row, or rows without a version",
    "delete from seat_events where seat_id = $1 and version = 2",
  ],
  ["versions without a row, or rows without a version", "update seats set version = 4 where id = $1"],
  [
    "a later version in an earlier transaction",
    "update seat_events set txid = '1' where seat_id = $1 and version = 3",
  ],
  ["sold while it was sold", "update seat_events set status = 'RESERVED' where seat_id = $1 and version = 2"],
  [
    "the seat is not what its last row says",
    "update seats set reservation_id = gen_random_uuid() where id = $1",
  ],
  ["the seat is not what its last row says", "update seats set last_txid = '1' where id = $1"],
  [
    "the seat is not what its last row says",
    `with later as (delete from seat_events where seat_id = $1 and version = 3)
     update seats s set version = 2, status = 'held', hold_expires_at = now(), reservation_id = e.reservation_id, last_txid = e.txid
     from seat_events e where s.id = $1 and e.seat_id = s.id and e.version = 2`,
  ],
  [
    "a row without its reservation",
    "delete from reservations r using seat_events e where e.reservation_id = r.id and e.seat_id = $1 and e.version = 1",
  ],
  [
    "not one live reservation where it is sold, or one where it is not",
    "update reservations r set status = 'confirmed' from seat_events e where e.reservation_id = r.id and e.seat_id = $1",
  ],
])("finds %s (%s)", async (what, corruption) => {
  const seatId = await seatWithHistory();
  await sale.rows(corruption, [seatId]);
  expect(await contradictions(sale)).toContainEqual({ what, seat: String(seatId) });
});
