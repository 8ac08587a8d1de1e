import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import fc from "fast-check";
import type { SeatRow } from "../../src/postgres/reserve.ts";
import { watch } from "../runtime/rounds.ts";
import {
  answerOf,
  factsOf,
  heldSeat,
  lost,
  openBatcher,
  type SeatAnswer,
  type Sent,
  seat,
  turn,
  undecided,
  won,
} from "./worker.ts";

const SLOTS = 2;
const BATCH_LIMIT = 3;
const QUEUE_LIMIT = 4;
/** One more than fits into a batch: it goes alone. */
const BASKET_LIMIT = 4;
const BUYERS = ["a", "b", null];
const SETTLE_INTERVAL_MS = 250;

beforeEach(() => jest.useFakeTimers({ now: 0 }));
afterEach(() => jest.useRealTimers());

const verdict = fc.constantFrom<SeatAnswer>(won(), lost("reserved"), lost("contended"), undecided);

type Step =
  | { do: "ask"; seatId: number }
  | { do: "hold"; seatIds: number[]; buyerId: string | null }
  | { do: "answer"; which: number; verdicts: SeatAnswer[] }
  | { do: "doubt" | "die" | "away"; which: number }
  | { do: "wait"; forMs: number }
  | { do: "refuse" | "accept" };

const which = fc.nat({ max: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("ask" as const), seatId: fc.integer({ min: 1, max: 8 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("hold" as const),
      seatIds: fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: BASKET_LIMIT }),
      buyerId: fc.constantFrom(...BUYERS),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("answer" as const),
      which,
      verdicts: fc.array(verdict, { minLength: BASKET_LIMIT, maxLength: BASKET_LIMIT }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("doubt" as const, "die" as const, "away" as const), which }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("wait" as const), forMs: fc.integer({ min: 1, max: 6000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("refuse" as const, "accept" as const) }) },
);

/** A batcher, the tasks that its workers have not answered yet, and the reservations they have confirmed. */
function openSimulation() {
  const opened = openBatcher({
    slotCount: SLOTS,
    batchLimitSeats: BATCH_LIMIT,
    queueLimitSeats: QUEUE_LIMIT,
  });
  const asked: (ReturnType<typeof opened.ask> | ReturnType<typeof opened.askToHold>)[] = [];
  const answered = new Set<Sent>();
  const confirmed = new Set<string | undefined>();
  const open = () => opened.sent.filter((sent) => !answered.has(sent));

  /** As a worker does, all or none of a reservation's seats: it has them where its first seat's verdict is a win. */
  const answer = async (sent: Sent, verdicts: SeatAnswer[]) => {
    answered.add(sent);
    const { task } = sent;
    const wins = (answer: SeatAnswer): answer is SeatRow =>
      typeof answer !== "string" &&
      (task.kind === "take" ? answer.verdict === "won" : answer.version !== null);
    const orders = task.orders.map((order, index) => {
      const answer = verdicts[index] ?? undecided;
      const isHeld = wins(answer) && "seats" in order && order.isHold;
      const seatIds = "seats" in order ? order.seats.map(({ seatId }) => seatId) : order.seatIds;
      return { reservationId: order.reservationId, seatIds, answer: isHeld ? heldSeat() : answer };
    });
    for (const { reservationId, seatIds, answer } of orders) {
      if (!wins(answer)) continue;
      confirmed.add(reservationId);
      opened.committed.set(reservationId, factsOf(reservationId, seatIds));
    }
    const seats = orders.flatMap(({ seatIds, answer }) => seatIds.map(() => answer));
    await sent.answers(
      task.kind === "take"
        ? answerOf(seats)
        : { versions: seats.map((answer) => (wins(answer) ? answer.version : null)) },
    );
  };
  const fail = async (sent: Sent, how: "doubt" | "die" | "away") => {
    answered.add(sent);
    if (how === "die") await sent.dies();
    else await sent.answers(sent.task.kind === "take" ? "doubtful" : "away");
  };
  const take = async (step: Step) => {
    switch (step.do) {
      case "ask":
        asked.push(opened.ask(step.seatId));
        break;
      case "hold":
        asked.push(opened.askToHold(step.seatIds, { buyerId: step.buyerId }));
        break;
      case "refuse":
        opened.batcher.refuse("unavailable");
        break;
      case "accept":
        opened.batcher.refuse(undefined);
        break;
      case "wait":
        jest.advanceTimersByTime(step.forMs);
        break;
      default: {
        const sent = open()[step.which];
        if (sent) await (step.do === "answer" ? answer(sent, step.verdicts) : fail(sent, step.do));
      }
    }
    await turn();
  };
  return { ...opened, asked, confirmed, open, answer, take };
}

test("whatever the workers do, every request has exactly one true answer and every bound holds", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      const { asked, batcher, confirmed, open, answer, take } = openSimulation();
      for (const step of steps) {
        await take(step);
        const underWay = open().flatMap(({ seatIds }) => seatIds);
        expect(new Set(underWay).size).toBe(underWay.length);
        expect(open().length).toBeLessThanOrEqual(SLOTS);
        // A request that finds room in the queue enters with all its seats.
        expect(batcher.queueSeats).toBeLessThan(QUEUE_LIMIT + BASKET_LIMIT);
        for (const { reservationIds, seatIds } of open()) {
          const isAlone = reservationIds.length === 1;
          expect(seatIds.length).toBeLessThanOrEqual(isAlone ? BASKET_LIMIT : BATCH_LIMIT);
        }
        const buyers = open().flatMap(({ task }) =>
          task.kind === "take" ? task.orders.flatMap(({ checks }) => (checks ? [checks.buyerId] : [])) : [],
        );
        expect(new Set(buyers).size).toBe(buyers.length);
      }

      const drained = watch(batcher.drained());
      for (let round = 0; round < steps.length && !drained.isOver; round++) {
        for (const sent of open()) await answer(sent, Array(BASKET_LIMIT).fill(undecided));
        jest.advanceTimersByTime(SETTLE_INTERVAL_MS);
        await turn();
      }
      expect(drained.isOver).toBe(true);
      expect([batcher.busySlots, batcher.queueSeats]).toEqual([0, 0]);
      for (let id = 1; id <= 8; id++) expect(batcher.isInFlight(seat(id))).toBe(false);
      for (const { outcome } of asked) {
        expect(outcome).toBeDefined();
        if (outcome?.kind === "won") expect(confirmed.has(outcome.reservationId)).toBe(true);
        if (outcome?.kind === "held") expect(confirmed.has(outcome.facts.reservationId)).toBe(true);
      }
    }),
    { numRuns: 300 },
  );
});
