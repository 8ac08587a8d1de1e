import { describe, expect, test } from "bun:test";
import { bodyOf, histogram, openSale, reserve, type Sale, seatsFrom } from "../engine/buyers.ts";
import { expectPublished, readEvents } from "../engine/events.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { until } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import { sized } from "./sizes.ts";
import { expectTruth } from "./truth.ts";
import { DEEDS, type Deed, POISONED_SEATS_OF_EACH_DEED } from "./unruly-deeds.ts";

// Row 12 of README.md: a worker thread of a whole engine exits, throws, spins, under load.

const SEATS = sized(40_000, 500_000);
const FIRST_POISONED_SEAT = SEATS + 1;
const BUYERS = 16;
const THREADS = 2;
/** How often each deed is done; a thread that spins is ended after 15 s. */
const TIMES = sized({ quick: 2, spins: 1 }, { quick: 50, spins: 6 });
const WAIT = { deadlineMs: sized(40_000, 300_000) };

describe("an engine whose reservation threads misbehave", () => {
  const house = useEngine({
    seats: SEATS + DEEDS.length * POISONED_SEATS_OF_EACH_DEED,
    env: {
      RESERVATION_WORKERS: String(THREADS),
      BUN_OPTIONS: "--preload=./test/faults/unruly-engine.ts",
      FIRST_POISONED_SEAT: String(FIRST_POISONED_SEAT),
    },
  });
  const seats = seatsFrom(1, SEATS);

  const poisoned = (deed: Deed, count: number) => {
    const first = FIRST_POISONED_SEAT + DEEDS.indexOf(deed) * POISONED_SEATS_OF_EACH_DEED;
    return seatsFrom(first, first + count - 1);
  };
  const restarts = async () =>
    (await readMetrics(house.url)).value("sentinel_worker_restarts_total", { pool: "reservation" }) ?? 0;
  const sellsOn = async (sale: Sale) => {
    const before = sale.won();
    await until("300 more seats are sold", () => sale.won() >= before + 300);
  };
  const isWhole = () =>
    until(
      "all threads are there again",
      async () =>
        (await readMetrics(house.url)).value("sentinel_worker_threads", {
          ...{ pool: "reservation", state: "running" },
        }) === THREADS,
    );

  const fates = [
    ["throws", 503, 0],
    ["exits", 503, 1],
    ["exits after the commit", 201, 1],
    ["spins", 503, 1],
  ] as const;
  for (const [deed, status, deaths] of fates) {
    test(`one that ${deed} fails its own tasks only, which are settled; the others sell on, and the pool heals`, async () => {
      const times = deed === "spins" ? TIMES.spins : TIMES.quick;
      const restartsBefore = await restarts();
      const sale = openSale(house.url, seats, BUYERS);
      for (const seatId of poisoned(deed, times)) {
        await sellsOn(sale);
        const answer = reserve(house.url, seatId);
        // Beside it, while it is not answered: where it spins, for long.
        if (deed === "spins") await sellsOn(sale);
        const { status: told, body } = await answer;
        expect([told, body]).toEqual([status, expect.any(String)]);
        if (told === 503) expect(bodyOf(await answer)).toMatchObject({ reason: "unavailable" });
        await isWhole();
      }
      await sellsOn(sale);
      const answers = await sale.stop();
      // Those of the misbehaving batches, and of the others that their thread had under way.
      const { 201: won = 0, 503: failed = 0 } = histogram(answers);
      expect(failed).toBeLessThanOrEqual(times * BUYERS);
      expect(won).toBeGreaterThan(failed);
      await expectTruth(house.facts, answers);
      await until(
        "each death has been counted, once",
        async () => (await restarts()) === restartsBefore + times * deaths,
      );
    });
  }

  test("has published all that was sold meanwhile", async () => {
    await house.facts.allPublished(WAIT.deadlineMs);
    const { length } = await house.facts.ledger();
    await expectPublished(
      house.facts,
      await readEvents({ file: house.eventsFile }, { ...WAIT, atLeast: length }),
    );
  });
});
