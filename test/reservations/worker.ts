import type { BatchAnswer, ReservationTask, SeatAnswer } from "../../src/dispatch/messages.ts";
import { Batcher, type DecidedBatch } from "../../src/reservations/batcher.ts";
import type { Outcome } from "../../src/reservations/outcome.ts";
import { parseSeatId, type SeatId } from "../../src/seats/seat-id.ts";
import { SeatMemory } from "../../src/seats/seat-memory.ts";

/** A task that a batcher has handed over, and its fate in the test's hands. */
export interface Sent {
  task: ReservationTask;
  answers(result: unknown): Promise<void>;
  dies(): Promise<void>;
}

export const seat = (id: number): SeatId => {
  const parsed = parseSeatId(String(id));
  if (parsed === undefined) throw new Error(`${id} is no seat id`);
  return parsed;
};

/** Past every microtask and `setImmediate` that is due now; works with fake timers too. */
export async function turn(): Promise<void> {
  for (let time = 0; time < 3; time++) await new Promise<void>((resolve) => setImmediate(resolve));
}

export const answerOf = (seats: SeatAnswer[], more: Partial<BatchAnswer> = {}): BatchAnswer => ({
  seats,
  databaseAway: false,
  lockMs: 1,
  transactionMs: 1,
  guarded: true,
  conflictCount: 0,
  ghostCount: 0,
  movedCount: 0,
  reran: false,
  ...more,
});

export const won = (version = 1, final = false): SeatAnswer => ({ verdict: "won", version, final });

/** A batcher whose worker threads are the test. */
export function openBatcher({ slotCount = 1, batchLimitSeats = 256, queueLimitSeats = 1000 } = {}) {
  const sent: Sent[] = [];
  const decided: DecidedBatch[] = [];
  const troubles: string[] = [];
  const unresolved: string[] = [];
  const freed: { seatId: SeatId; version: number }[] = [];
  const trust = { memory: true };
  const memory = new SeatMemory();
  const batcher = new Batcher({
    memory,
    mayTrustMemory: () => trust.memory,
    slotCount,
    batchLimitSeats,
    queueLimitSeats,
    observer: {
      decided: (batch) => decided.push(batch),
      trouble: (kind) => troubles.push(kind),
      gaveBack: (seats) => freed.push(...seats),
      unresolved: (ids) => unresolved.push(...ids),
    },
    run: <Result>(task: ReservationTask) =>
      new Promise<Result>((resolve, reject) => {
        sent.push({
          task,
          answers: (result) => {
            resolve(result as Result);
            return turn();
          },
          dies: () => {
            reject(new Error("the thread exited"));
            return turn();
          },
        });
      }),
  });
  /** Asks for a seat; the answer is undefined until there is one. */
  const ask = (id: number) => {
    const asked: { outcome?: Outcome; atOnce: boolean } = { atOnce: false };
    const reserved = batcher.reserve(seat(id));
    if (reserved instanceof Promise) void reserved.then((outcome) => Object.assign(asked, { outcome }));
    else Object.assign(asked, { outcome: reserved, atOnce: true });
    return asked;
  };
  const seatsSent = () => sent.map(({ task }) => task.seatIds);
  const last = (): Sent => {
    const newest = sent.at(-1);
    if (!newest) throw new Error("nothing was sent");
    return newest;
  };
  return { batcher, memory, ask, sent, seatsSent, last, decided, troubles, freed, unresolved, trust };
}
