import { expect, test } from "bun:test";
import fc from "fast-check";
import { expectSound } from "../fixtures/sound.ts";
import { reserveOne } from "./sale.ts";
import { useSale } from "./use-sale.ts";
import { writeAtRandom } from "./writers.ts";

const WRITERS = 5;
const CHANGES = 40;

const sale = useSale();

test("whatever concurrent writers do, each change has its row and transaction order is version order", async () => {
  const seeds = fc.array(fc.integer(), { minLength: WRITERS, maxLength: WRITERS });
  await fc.assert(
    fc.asyncProperty(seeds, async (writers) => {
      const seatIds = await sale.addSeats(3);
      await Promise.all(writers.map((seed) => writeAtRandom(sale, seatIds, seed, CHANGES)));
      await sale.endSessions();
      await expectSound(sale.url);
    }),
    { numRuns: 4, endOnFailure: true },
  );
}, 30_000);

test("of many who want a free seat at the same moment exactly one wins it", async () => {
  const seatId = await sale.addSeat();
  const sessions = await Promise.all(Array.from({ length: 10 }, () => sale.session()));
  const answers = await Promise.all(sessions.map((session) => reserveOne(session, seatId, 0)));
  const verdicts = answers.map(({ verdict }) => verdict);
  expect(verdicts.filter((verdict) => verdict === "won")).toHaveLength(1);
  expect(verdicts.filter((verdict) => !["won", "contended", "reserved"].includes(verdict))).toEqual([]);
  expect(await sale.ledger(seatId)).toHaveLength(1);
});
