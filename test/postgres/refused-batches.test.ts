import { describe, expect, test } from "bun:test";
import { SeatLocks } from "../../src/redis/seat-locks.ts";
import { createLog, FaultLog } from "../../src/telemetry/log.ts";
import { take as takeBatch } from "../../workers/take.ts";
import { orderOf, taken, verdictOf, type Wish, wishFor } from "./reservations.ts";
import { useEvent, useSale } from "./use-sale.ts";

const sale = useSale();
const { freeSeats } = useEvent(sale);

describe("a batch that the database refuses", () => {
  const transactions = () => ({
    pool: sale.pool,
    refusals: new FaultLog(createLog("silent", "test"), "the database refuses what it is asked"),
  });
  const noLocks = () =>
    new SeatLocks({ redisUrls: [], keyPrefix: "", ttlMs: 1, timeoutMs: 1, onDegraded: () => undefined });

  async function decide(wishes: Wish[]) {
    const answer = await takeBatch(transactions(), noLocks(), wishes.map(orderOf));
    if (answer === "doubtful") throw new Error("the batch is in doubt");
    return { ...answer, verdicts: answer.orders.map(verdictOf) };
  }

  test("for a value of one of them (class 22) hurts only that one", async () => {
    const basket = async (buyerId: string) => wishFor(sale, await freeSeats(2), { buyerId });
    const wishes = [await basket("one"), await basket("no\0text"), await basket("two")];
    const { verdicts, reran, databaseAway } = await decide(wishes);
    expect([reran, databaseAway]).toEqual([true, false]);
    expect(verdicts).toEqual(["won", "undecided", "won"]);
  });

  test("for a constraint that one of them breaks (class 23) hurts only that one", async () => {
    const used = await taken(sale, await freeSeats(1));
    const wishes = [
      await wishFor(sale, await freeSeats(2)),
      await wishFor(sale, await freeSeats(2), { reservationId: used }),
      await wishFor(sale, await freeSeats(1), { isHold: false }),
    ];
    const { verdicts, reran } = await decide(wishes);
    expect(reran).toBe(true);
    expect(verdicts).toEqual(["won", "undecided", "won"]);
    for (const seatId of wishes[1]?.seatIds ?? []) expect((await sale.seat(seatId)).version).toBe(0);
  });

  test("for a seat that two of them want gives it to the first, and hurts no other", async () => {
    const [a = 0, b = 0, c = 0] = await freeSeats(3);
    const wishes = [
      await wishFor(sale, [a, b]),
      await wishFor(sale, [b, c]),
      await wishFor(sale, await freeSeats(1)),
    ];
    const { verdicts } = await decide(wishes);
    expect(verdicts).toEqual(["won", "held,free", "won"]);
  });
});
