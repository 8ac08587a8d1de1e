import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { giveBack } from "../../src/postgres/settle.ts";
import { randomFrom } from "../engine/random.ts";
import { reserveOne, type Sale } from "./sale.ts";

/**
 * A writer of its own session that reserves and gives back seats in random turns, in transactions that begin
 * well before they look at the seat, as often as not: what an order by transaction must survive.
 */
export async function writeAtRandom(
  sale: Sale,
  seatIds: number[],
  seed: number,
  changes: number,
): Promise<void> {
  const random = randomFrom(seed);
  const session = await sale.session();
  for (let change = 0; change < changes; change++) {
    const seatId = seatIds[Math.floor(random() * seatIds.length)] ?? 0;
    const inTransaction = random() < 0.5;
    if (inTransaction) await session.query("begin");
    if (inTransaction) await session.query("select pg_current_xact_id()");
    await changeSeat(session, seatId);
    if (inTransaction) await session.query(random() < 0.8 ? "commit" : "rollback");
  }
}

async function changeSeat(session: pg.PoolClient, seatId: number): Promise<void> {
  const { rows } = await session.query("select status, version, reservation_id from seats where id = $1", [
    seatId,
  ]);
  const [{ status, version, reservation_id: reservationId }] = rows;
  if (status === "available") await reserveOne(session, seatId, version);
  else await giveBack(drizzle(session), [{ reservationId, seatIds: [seatId] }], [[version]]);
}
