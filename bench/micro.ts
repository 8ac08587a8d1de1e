import { Piscina } from "piscina";
import { Bench } from "tinybench";
import { toEvent } from "../src/ledger/sinks/sink.ts";
import { answerOf } from "../src/reservations/answer.ts";
import { Batcher } from "../src/reservations/batcher.ts";
import type { ReservationTask } from "../src/threads/messages.ts";
import { resultOf, taskText } from "../src/threads/text-task.ts";
import { findBestSeats } from "../src/venue/best-available.ts";
import { Seating } from "../src/venue/layout.ts";
import { parseSeatId, type SeatId } from "../src/venue/seat-id.ts";
import { SeatMemory } from "../src/venue/seat-memory.ts";

/**
 * Measures the pure parts of the hot path one by one (`bun run bench:micro`): what each costs the main
 * thread, and what it costs to send a batch to a worker thread and back.
 */
const SEATS = 1 << 16;
const BATCH_SEATS = 64;

const memory = new SeatMemory();
for (let id = 1; id <= SEATS; id++) memory.learn(id, 1, id % 2 ? "reserved" : "available", true);

const observer = {
  decided: () => undefined,
  changed: () => undefined,
  unresolved: () => undefined,
  trouble: () => undefined,
};
/** A batcher whose workers answer at once, so that only its own work is measured. */
const batcher = new Batcher({
  memory: new SeatMemory(),
  mayTrustMemory: () => true,
  run: async <Result>(task: ReservationTask) =>
    ({
      orders: (task.kind === "take" ? task.orders : []).map(() => [
        { verdict: "won", version: 1, final: true, hold: null },
      ]),
      databaseAway: false,
      ...{
        lockMs: 0,
        transactionMs: 0,
        isLocked: true,
        conflictCount: 0,
        ghostCount: 0,
        movedCount: 0,
        reran: false,
      },
    }) as Result,
  readFacts: async () => undefined,
  slotCount: 3,
  batchLimitSeats: 256,
  queueLimitSeats: 10_000,
  observer,
});

const threads = new Piscina({
  filename: new URL("micro/echo.ts", import.meta.url).href,
  minThreads: 1,
  maxThreads: 1,
  concurrentTasksPerWorker: 3,
  atomics: "disabled",
  recordTiming: false,
});
const batchOf = (count: number): ReservationTask => ({
  kind: "take",
  orders: Array.from({ length: count }, (_, index) => ({
    reservationId: Bun.randomUUIDv7(),
    isHold: false,
    seats: [{ seatId: index + 1, version: 0 }],
  })),
});
const handOver = async (task: ReservationTask) => resultOf(await threads.run(taskText(task)));
const one = batchOf(1);
const many = batchOf(BATCH_SEATS);

const won = {
  kind: "won",
  seatId: 2 as SeatId,
  reservationId: Bun.randomUUIDv7(),
  version: 1,
  final: true,
} as const;
const taken = { kind: "taken", seatId: 2 as SeatId, reason: "reserved" } as const;
const row = {
  ...{ epoch: 1, txid: "1", id: "1", seatId: "2", version: 1, eventId: "1", status: "RESERVED" },
  ...{ reservationId: won.reservationId, replacesReservationId: null, timestampMs: Date.now() },
};

const hall = new Seating({
  ...{ kind: "assigned", priceTier: 0, areas: [], x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
  rows: Array.from({ length: 400 }, (_, row) => ({ label: `${row}`, seatCount: 50 })),
  numbering: { perRow: true, start: 1, step: 1, prefix: "" },
});
/** Its free seats are unordered, so that few of them are adjacent. */
const search = (freePermille: number) => {
  const { seatCount } = hall;
  const house = new SeatMemory();
  for (let id = 1; id <= seatCount; id++) {
    const isFree = (Math.imul(id, 2_654_435_761) >>> 0) % 1000 < freePermille;
    house.learn(id, 1, isFree ? "available" : "reserved", false);
  }
  return () =>
    findBestSeats({
      ...{ quantity: 4, accessible: "avoid", adjacency: "preferred", focal: undefined },
      sections: [{ firstSeatId: 1, seating: hall }],
      isFree: (seatId) => house.isAvailable(seatId),
      mayHaveFree: (firstSeatId, count) => house.mayHaveAvailable(firstSeatId, count),
    });
};

let next = 0;
let fresh = 0;
const seatId = () => (next = (next % SEATS) + 1);
const bench = new Bench({ time: 500, warmupTime: 200 })
  .add("parse a seat id", () => parseSeatId("123456"))
  .add("filter: is the seat gone?", () => memory.isGone(seatId()))
  .add("memory: learn a change", () => memory.learn(seatId(), 2, "reserved", true))
  .add("answer 409", () => answerOf(taken, "request-1", () => undefined))
  .add("answer 201", () => answerOf(won, "request-1", () => undefined))
  .add("encode an event", () => toEvent(row))
  .add(`batcher: ${BATCH_SEATS} requests in, ${BATCH_SEATS} outcomes out`, async () => {
    await Promise.all(Array.from({ length: BATCH_SEATS }, () => batcher.reserve(++fresh as SeatId)));
  })
  .add("best 4 of 20,000 seats, half of them taken", search(500))
  .add("best 4 of 20,000 seats, 1% left", search(10))
  .add("best 4 of 20,000 seats, none left", search(0))
  .add("hand-over: 1 seat to a thread and back", () => handOver(one))
  .add(`hand-over: ${BATCH_SEATS} seats to a thread and back`, () => handOver(many));

await bench.run();
console.table(bench.table());
await threads.destroy();
