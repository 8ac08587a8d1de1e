import { describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { commitChanges, type ReservationChange } from "../../src/postgres/change.ts";
import { settle } from "../../src/postgres/settle.ts";
import { createLog, FaultLog } from "../../src/telemetry/log.ts";
import { change as changeBatch } from "../../workers/change.ts";
import { addEvent, addSeatsOf, change, changeOf, pictureOf, taken } from "./reservations.ts";
import { earlySession, lockSeats, useEvent, useSale } from "./use-sale.ts";

const ACTIONS = ["confirm", "release", "extend", "cancel", "expire"] as const;

const sale = useSale();
const { freeSeats, held, over, did } = useEvent(sale);

describe.each(ACTIONS)("to %s", (action) => {
  test("a reservation that is void finds none", async () => {
    const [reservationId, seatIds] = [Bun.randomUUIDv7(), await freeSeats(1)];
    await settle(drizzle(sale.pool), [{ reservationId, seatIds }]);
    const before = await pictureOf(sale, reservationId, seatIds);
    expect(await did(reservationId, action)).toMatchObject({ verdict: "missing", status: null, facts: null });
    expect(await pictureOf(sale, reservationId, seatIds)).toEqual(before);
  });

  test("by a writer that began before the seat's last change is put off, and changes nothing", async () => {
    const seatIds = await freeSeats(1);
    const early = await earlySession(sale);
    const make = action === "cancel" ? (ids: number[]) => taken(sale, ids, { isHold: false }) : held;
    const reservationId = await (action === "expire" ? over(seatIds) : make(seatIds));
    const before = await pictureOf(sale, reservationId, seatIds);
    expect(await change(early, reservationId, action)).toMatchObject({ verdict: "again", seats: [] });
    await early.query("commit");
    expect(await pictureOf(sale, reservationId, seatIds)).toEqual(before);
  });
});

describe("a batch of changes", () => {
  test("answers each for itself, in the order of the request, and hurts no neighbour", async () => {
    const [mine, locked, ended] = [
      await held(await freeSeats(2)),
      await freeSeats(1),
      await over(await freeSeats(1)),
    ];
    const busy = await held(locked);
    await lockSeats(sale, locked);
    const rows = await commitChanges(await sale.session(), [
      changeOf(ended, "release"),
      changeOf(busy, "confirm"),
      changeOf(Bun.randomUUIDv7(), "extend"),
      changeOf(mine, "confirm"),
    ]);
    expect(rows.map(({ verdict }) => verdict)).toEqual(["refused", "again", "missing", "done"]);
  });

  const decide = async (...changes: ReservationChange[]) => {
    const refusals = new FaultLog(createLog("silent", "test"), "the database refuses what it is asked");
    const answer = await changeBatch({ pool: sale.pool, refusals }, changes);
    if (answer === "doubtful") throw new Error("the batch is in doubt");
    return answer.changes.map(({ verdict }) => verdict);
  };

  test("in which two want the same seat back gives it to one, and hurts no other", async () => {
    const seatIds = await freeSeats(1);
    const [first, second] = [await over(seatIds), await over(seatIds)];
    const neighbour = await held(await freeSeats(1));
    const verdicts = await decide(
      changeOf(first, "confirm"),
      changeOf(second, "confirm"),
      changeOf(neighbour, "release"),
    );
    expect(verdicts).toEqual(["done", "gone", "done"]);
  });

  test("lets changes under a buyer's limit take their claims by themselves", async () => {
    const limited = await addEvent(sale, { buyerLimitSeats: 1 });
    const reservationId = await taken(sale, await addSeatsOf(sale, limited, 1), { buyerId: "somebody" });
    const other = await held(await freeSeats(1));
    const verdicts = await decide(changeOf(reservationId, "confirm"), changeOf(other, "confirm"));
    expect(verdicts).toEqual(["done", "done"]);
  });

  test("gives up on what stays locked, and changes nothing of it", async () => {
    const seatIds = await freeSeats(1);
    const reservationId = await held(seatIds);
    await lockSeats(sale, seatIds);
    expect(await decide(changeOf(reservationId, "release"))).toEqual(["undecided"]);
  });
});
