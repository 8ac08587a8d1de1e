import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import fc from "fast-check";
import type { SeatAnswer } from "../../src/dispatch/messages.ts";
import { answerOf, openBatcher, type Sent, turn } from "./worker.ts";

const SLOTS = 2;
const BATCH_LIMIT = 3;
const QUEUE_LIMIT = 4;
const SETTLE_INTERVAL_MS = 250;

const UNDECIDED: SeatAnswer = { verdict: "undecided", version: null, final: false };

beforeEach(() => jest.useFakeTimers({ now: 0 }));
afterEach(() => jest.useRealTimers());

const verdict = fc.constantFrom<SeatAnswer>(
  { verdict: "won", version: 1, final: false },
  { verdict: "reserved", version: 1, final: false },
  { verdict: "contended", version: 1, final: false },
  UNDECIDED,
);

type Step =
  | { do: "ask"; seatId: number }
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
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("answer" as const),
      which,
      verdicts: fc.array(verdict, { minLength: BATCH_LIMIT, maxLength: BATCH_LIMIT }),
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
  const asked: ReturnType<typeof opened.ask>[] = [];
  const answered = new Set<Sent>();
  const confirmed = new Set<string | undefined>();
  const open = () => opened.sent.filter((sent) => !answered.has(sent));

  const answer = async (sent: Sent, verdicts: SeatAnswer[]) => {
    answered.add(sent);
    const { kind, seatIds, reservationIds } = sent.task;
    const seats = verdicts.slice(0, seatIds.length);
    const wins = ({ verdict, version }: SeatAnswer) =>
      kind === "reserve" ? verdict === "won" : version !== null;
    for (const [position, seat] of seats.entries()) if (wins(seat)) confirmed.add(reservationIds[position]);
    await sent.answers(
      kind === "reserve" ? answerOf(seats) : { versions: seats.map(({ version }) => version) },
    );
  };
  const fail = async (sent: Sent, how: "doubt" | "die" | "away") => {
    answered.add(sent);
    if (how === "die") await sent.dies();
    else await sent.answers(sent.task.kind === "reserve" ? "doubtful" : "away");
  };
  const take = async (step: Step) => {
    switch (step.do) {
      case "ask":
        asked.push(opened.ask(step.seatId));
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
        const underWay = open().flatMap(({ task }) => task.seatIds);
        expect(new Set(underWay).size).toBe(underWay.length);
        expect(open().length).toBeLessThanOrEqual(SLOTS);
        expect(batcher.queueSeats).toBeLessThanOrEqual(QUEUE_LIMIT);
        expect(Math.max(0, ...open().map(({ task }) => task.seatIds.length))).toBeLessThanOrEqual(
          BATCH_LIMIT,
        );
      }

      let through = false;
      void batcher.drained().then(() => {
        through = true;
      });
      for (let round = 0; round < steps.length && !through; round++) {
        for (const sent of open()) await answer(sent, Array(BATCH_LIMIT).fill(UNDECIDED));
        jest.advanceTimersByTime(SETTLE_INTERVAL_MS);
        await turn();
      }
      expect(through).toBe(true);
      expect([batcher.busySlots, batcher.queueSeats]).toEqual([0, 0]);
      for (const { outcome } of asked) {
        expect(outcome).toBeDefined();
        if (outcome?.kind === "won") expect(confirmed.has(outcome.reservationId)).toBe(true);
      }
    }),
    { numRuns: 300 },
  );
});
