import { afterAll, afterEach, beforeAll } from "bun:test";
import type { ChangeAction, ChangeRow } from "../../src/postgres/change.ts";
import { expectSound } from "../fixtures/sound.ts";
import { addEvent, addSeatsOf, age, change, type Terms, taken, type Wish } from "./reservations.ts";
import { openSale, type Sale } from "./sale.ts";

/** The sale of a test file. After each test, its sessions end and the database must be sound. */
export function useSale({ staysSound = true } = {}): Sale {
  const sale = {} as Sale;
  beforeAll(async () => void Object.assign(sale, await openSale()));
  afterEach(async () => {
    await sale.endSessions();
    if (staysSound) await expectSound(sale.url);
  });
  afterAll(() => sale.close());
  return sale;
}

/** An event of a test file's sale, and reservations of it; its id is known once the tests run. */
export function useEvent(sale: Sale, terms: Partial<Terms> = {}) {
  const event = { id: 0 };
  beforeAll(async () => void Object.assign(event, { id: await addEvent(sale, terms) }));
  const freeSeats = (count: number) => addSeatsOf(sale, event.id, count);
  /** A hold of these seats that began so long ago. */
  const held = async (seatIds: number[], ageBy = "1 minute", more: Partial<Wish> = {}): Promise<string> => {
    const reservationId = await taken(sale, seatIds, more);
    await age(sale, reservationId, ageBy);
    return reservationId;
  };
  return {
    ...{ event, freeSeats, held },
    over: (seatIds: number[], more: Partial<Wish> = {}) => held(seatIds, "1 hour", more),
    did: async (reservationId: string, action: ChangeAction): Promise<ChangeRow> =>
      change(await sale.session(), reservationId, action),
  };
}

/** A session's lock on these seats, until the test ends. */
export async function lockSeats(sale: Sale, seatIds: number[]): Promise<void> {
  const rival = await sale.session();
  await rival.query("begin");
  await rival.query("select from seats where id = any($1) for update", [seatIds]);
}

/** A session whose open transaction has an early id, which must not become a later version. */
export async function earlySession(sale: Sale) {
  const session = await sale.session();
  await session.query("begin; select pg_current_xact_id()");
  return session;
}
