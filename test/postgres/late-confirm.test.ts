import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { ChangeAction } from "../../src/postgres/change.ts";
import { expectSound } from "../fixtures/sound.ts";
import {
  addEvent,
  addSeatsOf,
  age,
  change,
  changeGuarded,
  pictureOf,
  reservationOf,
  taken,
} from "./reservations.ts";
import { openSale, type Sale } from "./sale.ts";

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
const did = async (reservationId: string, action: ChangeAction) =>
  change(await sale.session(), reservationId, action);

async function held(seatIds: number[], ageBy = "1 minute"): Promise<string> {
  const reservationId = await taken(sale, seatIds);
  await age(sale, reservationId, ageBy);
  return reservationId;
}
const over = (seatIds: number[]) => held(seatIds, "1 hour");

describe("confirming after the end of the hold", () => {
  test.each(["over", "expired"])(
    "takes back seats that are free (%s), also after another had them",
    async (state) => {
      const seatIds = await freeSeats(2);
      const reservationId = await over(seatIds);
      const rival = await taken(sale, seatIds.slice(1));
      await did(rival, "release");
      if (state === "expired") await did(reservationId, "expire");
      expect(await did(reservationId, "confirm")).toMatchObject({ verdict: "done" });
      expect(await reservationOf(sale, reservationId)).toMatchObject({ status: "confirmed" });
    },
  );

  test("replaces a hold that is over too, and leaves its other seats to it", async () => {
    const [mine = 0, both = 0, others = 0] = await freeSeats(3);
    const reservationId = await over([mine, both]);
    const rival = await over([both, others]);
    expect(await did(reservationId, "confirm")).toMatchObject({ verdict: "done" });
    expect((await sale.ledger(both)).at(-1)).toMatchObject({
      status: "RESERVED",
      reservationId,
      replaces: rival,
    });
    expect((await sale.ledger(mine)).at(-1)).toMatchObject({ status: "RESERVED", replaces: null });
    expect(await reservationOf(sale, rival)).toMatchObject({ status: "held" });
    expect((await did(rival, "expire")).seats).toEqual([[others, 2]]);
  });

  test.each(["over", "expired"])(
    "names exactly the seats that others have, and changes nothing (%s)",
    async (state) => {
      const seatIds = await freeSeats(5);
      const [sold = 0, own = 0, lostHold = 0, freed = 0, overHold = 0] = seatIds;
      const reservationId = await over([freed, overHold, lostHold, own, sold]);
      await taken(sale, [sold], { isHold: false });
      await taken(sale, [lostHold]);
      await did(await taken(sale, [freed]), "release");
      await over([overHold]);
      if (state === "expired") await did(reservationId, "expire");
      const before = await pictureOf(sale, reservationId, seatIds);
      expect(await did(reservationId, "confirm")).toMatchObject({
        ...{ verdict: "gone", status: "expired", gone: [sold, lostHold], seats: [] },
      });
      expect(await pictureOf(sale, reservationId, seatIds)).toEqual(before);
    },
  );

  test("is put off while somebody decides on one of the seats", async () => {
    const seatIds = await freeSeats(2);
    const reservationId = await over(seatIds);
    const rival = await sale.session();
    await rival.query("begin");
    await rival.query("select from seats where id = $1 for update", seatIds.slice(1));
    expect(await did(reservationId, "confirm")).toMatchObject({ verdict: "again", gone: null, seats: [] });
  });

  test("is refused when the event is no longer on sale; before the end it is not", async () => {
    const selling = await addEvent(sale);
    const [late, early] = [await addSeatsOf(sale, selling, 1), await addSeatsOf(sale, selling, 1)];
    const [tooLate, inTime] = [await over(late), await held(early)];
    await sale.rows("update events set off_sale_at = now() where id = $1", [selling]);
    expect(await did(tooLate, "confirm")).toMatchObject({ verdict: "refused", status: "expired" });
    expect(await did(inTime, "confirm")).toMatchObject({ verdict: "done", status: "held" });
  });

  test("keeps to the buyer's limit, in the guarded way; the plain one leaves it to that", async () => {
    const limited = await addEvent(sale, { buyerLimitSeats: 4 });
    const buyerId = "somebody";
    const [old, recent] = [await addSeatsOf(sale, limited, 3), await addSeatsOf(sale, limited, 2)];
    const reservationId = await taken(sale, old, { buyerId });
    await age(sale, reservationId);
    const newer = await taken(sale, recent, { buyerId });
    const session = await sale.session();
    const before = await pictureOf(sale, reservationId, old);
    expect(await change(session, reservationId, "confirm")).toMatchObject({ verdict: "capped", seats: [] });
    expect(await changeGuarded(session, reservationId, "confirm")).toMatchObject({
      verdict: "over_limit",
      seats: [],
    });
    expect(await pictureOf(sale, reservationId, old)).toEqual(before);
    await change(session, newer, "release");
    expect(await changeGuarded(session, reservationId, "confirm")).toMatchObject({ verdict: "done" });
  });
});
