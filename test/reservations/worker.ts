import type { ReservationFacts } from "../../src/postgres/change.ts";
import { Batcher, type DecidedBatch } from "../../src/reservations/batcher.ts";
import type { HoldRequest } from "../../src/reservations/order.ts";
import type { HoldOutcome, Outcome } from "../../src/reservations/outcome.ts";
import type { SeatNews } from "../../src/reservations/seat-news.ts";
import type { BatchAnswer, ReservationTask, SeatAnswer } from "../../src/threads/messages.ts";
import { parseSeatId, type SeatId } from "../../src/venue/seat-id.ts";
import { SeatMemory } from "../../src/venue/seat-memory.ts";

/** A task that a batcher has handed over, and its fate in the test's hands. */
export interface Sent {
  task: Extract<ReservationTask, { kind: "take" | "settle" }>;
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

export const won = (version = 1, final = false): SeatAnswer => ({
  verdict: "won",
  version,
  final,
  hold: null,
});

/** What a seat's row says to a request that does not win it. */
export const lost = (
  verdict: Exclude<SeatAnswer["verdict"], "undecided" | "claimed">,
  version: number | null = 1,
  final = false,
): SeatAnswer => ({ verdict, version, final, hold: null });

/** When the holds of these tests end. */
const EXPIRES_AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const PRICE_MINOR = 15_000;

/** A seat's row where it was won for a hold. */
export const heldSeat = (version = 1): SeatAnswer => ({
  verdict: "won",
  version,
  final: false,
  hold: [1, PRICE_MINOR, EXPIRES_AT_MS],
});

/** What such rows make of a reservation. */
export const factsOf = (reservationId: string, seatIds: number[]): ReservationFacts => ({
  reservationId,
  eventId: 1,
  seatIds,
  pricesMinor: seatIds.map(() => PRICE_MINOR),
  expiresAtMs: EXPIRES_AT_MS,
});

export const undecided: SeatAnswer = { verdict: "undecided", version: null, final: false, hold: null };

/** A batcher whose worker threads are the test. */
export function openBatcher({ slotCount = 1, batchLimitSeats = 256, queueLimitSeats = 1000 } = {}) {
  const sent: Sent[] = [];
  const decided: DecidedBatch[] = [];
  const troubles: string[] = [];
  const unresolved: [state: "began" | "ended", reservationIds: string[]][] = [];
  const news: SeatNews[] = [];
  /** What the database says of reservations, by id. */
  const committed = new Map<string, ReservationFacts>();
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
      changed: (seats) => news.push(...seats),
      unresolved: ({ reservationIds }, state) => unresolved.push([state, reservationIds]),
    },
    readFacts: async (reservationId) => committed.get(reservationId),
    run: <Result>(task: ReservationTask) =>
      new Promise<Result>((resolve, reject) => {
        if (task.kind === "change" || task.kind === "recall")
          throw new Error("a batcher changes no reservations");
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
  /** Asks for seats to be held. */
  const askToHold = (ids: number[], more: Partial<HoldRequest> = {}) => {
    const asked: { outcome?: HoldOutcome; atOnce: boolean } = { atOnce: false };
    const held = batcher.hold({ seatIds: ids.map(seat), buyerId: null, key: null, ...more });
    if (held instanceof Promise) void held.then((outcome) => Object.assign(asked, { outcome }));
    else Object.assign(asked, { outcome: held, atOnce: true });
    return asked;
  };
  /** Seats that others were told are free again, with their versions. */
  const freed = () =>
    news.flatMap(([id, version, status]) => (status === "available" ? [[id, version]] : []));
  const seatsSent = () => sent.map(({ task }) => task.seatIds);
  const last = (): Sent => {
    const newest = sent.at(-1);
    if (!newest) throw new Error("nothing was sent");
    return newest;
  };
  return {
    ...{ batcher, memory, ask, askToHold, sent, seatsSent, last },
    ...{ decided, troubles, news, freed, unresolved, trust, committed },
  };
}
