import type { ReservationFacts } from "../../src/postgres/change.ts";
import type { SeatRow } from "../../src/postgres/reserve.ts";
import { Batcher, type DecidedBatch } from "../../src/reservations/batcher.ts";
import type { HoldRequest } from "../../src/reservations/order.ts";
import type { HoldOutcome, Outcome } from "../../src/reservations/outcome.ts";
import type { BatchAnswer, OrderAnswer, ReservationTask } from "../../src/threads/messages.ts";
import type { SeatChange } from "../../src/venue/seat-events.ts";
import { parseSeatId, type SeatId } from "../../src/venue/seat-id.ts";
import { SeatMemory } from "../../src/venue/seat-memory.ts";

/** A task that a batcher has handed over, and its fate in the test's hands. */
export interface Sent {
  task: Extract<ReservationTask, { kind: "take" | "settle" }>;
  /** The seats of all its orders. */
  seatIds: number[];
  /** One for each order. */
  reservationIds: string[];
  /** The worker's answer; one that `answerOf` has made, or one with `versions`, has a value for each seat. */
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

/** A seat's row, or the whole order's answer in the place of each of its seats. */
export type SeatAnswer = SeatRow | "undecided" | "claimed";

type FlatAnswer = Omit<BatchAnswer, "orders"> & { seats: SeatAnswer[] };

export const answerOf = (seats: SeatAnswer[], more: Partial<FlatAnswer> = {}): FlatAnswer => ({
  seats,
  databaseAway: false,
  lockMs: 1,
  transactionMs: 1,
  isLocked: true,
  conflictCount: 0,
  ghostCount: 0,
  movedCount: 0,
  reran: false,
  ...more,
});

export const won = (version = 1, final = false): SeatRow => ({
  verdict: "won",
  version,
  final,
  hold: null,
});

/** What a seat's row says to a request that does not win it. */
export const lost = (verdict: SeatRow["verdict"], version: number | null = 1, final = false): SeatRow => ({
  verdict,
  version,
  final,
  hold: null,
});

/** When the holds of these tests end. */
const EXPIRES_AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const PRICE_MINOR = 15_000;

/** A seat's row where it was won for a hold. */
export const heldSeat = (version = 1): SeatRow => ({
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

export const undecided: SeatAnswer = "undecided";

const seatIdsOf = (task: Sent["task"]): number[][] =>
  task.kind === "take"
    ? task.orders.map(({ seats }) => seats.map(({ seatId }) => seatId))
    : task.orders.map(({ seatIds }) => seatIds);

/** The answer as a worker gives it: what was said of each seat, by orders. */
function byOrder(task: Sent["task"], result: unknown): unknown {
  const flat = result as { seats?: SeatAnswer[]; versions?: (number | null)[] };
  const ofOrders = <Item>(list: Item[]) => {
    const rest = [...list];
    return seatIdsOf(task).map(({ length }) => rest.splice(0, length));
  };
  if (flat.versions)
    return { orders: ofOrders(flat.versions).map((all) => (all.includes(null) ? null : all)) };
  if (!flat.seats) return result;
  const { seats, ...more } = flat;
  const orders = ofOrders(seats).map((rows): OrderAnswer => {
    const whole = rows.find((row) => typeof row === "string");
    return whole ?? rows.filter((row) => typeof row !== "string");
  });
  return { orders, ...more };
}

/** A change that others heard of, short for expectations. */
export type Heard = [seatId: number, version: number, status: SeatChange["status"], final: boolean];

export const heardOf = (changes: SeatChange[]): Heard[] =>
  changes.map(({ seatId, version, status, final }) => [seatId, version, status, final]);

/** A batcher whose worker threads are the test. */
export function openBatcher({ slotCount = 1, batchLimitSeats = 256, queueLimitSeats = 1000 } = {}) {
  const sent: Sent[] = [];
  const decided: DecidedBatch[] = [];
  const troubles: string[] = [];
  const unresolved: [state: "began" | "ended", reservationIds: string[]][] = [];
  const changed: Heard[] = [];
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
      changed: (seats) => changed.push(...heardOf(seats)),
      unresolved: (orders, state) =>
        unresolved.push([state, orders.map(({ reservationId }) => reservationId)]),
    },
    readFacts: async (reservationId) => committed.get(reservationId),
    run: <Result>(task: ReservationTask) =>
      new Promise<Result>((resolve, reject) => {
        if (task.kind === "change" || task.kind === "recall")
          throw new Error("a batcher changes no reservations");
        sent.push({
          task,
          seatIds: seatIdsOf(task).flat(),
          reservationIds: task.orders.map(({ reservationId }) => reservationId),
          answers: (result) => {
            resolve(byOrder(task, result) as Result);
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
    changed.flatMap(([id, version, status]) => (status === "available" ? [[id, version]] : []));
  const seatsSent = () => sent.map(({ seatIds }) => seatIds);
  const last = (): Sent => {
    const newest = sent.at(-1);
    if (!newest) throw new Error("nothing was sent");
    return newest;
  };
  /** Asks for a seat, and lets the worker answer its batch. */
  const decide = async (id: number, ...answers: SeatAnswer[]) => {
    const asked = ask(id);
    await turn();
    await last().answers(answerOf(answers));
    return asked;
  };
  return {
    ...{ batcher, memory, ask, askToHold, decide, sent, seatsSent, last },
    ...{ decided, troubles, changed, freed, unresolved, trust, committed },
  };
}
