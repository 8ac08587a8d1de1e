import { join } from "node:path";
import type { Context } from "../parts/context.ts";
import type { Database } from "../postgres/connect.ts";
import type { DatabaseGate } from "../postgres/database-gate.ts";
import { findHoldAsMade } from "../postgres/reservations.ts";
import { readSeatsOf } from "../postgres/seats.ts";
import type { RehearsalTask, ReservationTask } from "../threads/messages.ts";
import type { SeatEvents } from "../venue/seat-events.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import { Batcher } from "./batcher.ts";
import { Changes } from "./changes.ts";
import type { MemoryTrust } from "./memory-trust.ts";
import type { ReservationMetrics } from "./reservation-metrics.ts";
import { UnresolvedReservations } from "./unresolved.ts";

/** Hands a task to one of the reservation threads. */
export type RunTask = <Result>(task: ReservationTask | RehearsalTask) => Promise<Result>;

export interface BatcherDependencies {
  run: RunTask;
  reads: Database;
  memory: SeatMemory;
  seatEvents: SeatEvents;
  trust: MemoryTrust;
  gate: DatabaseGate;
  reservationMetrics: ReservationMetrics;
}

/** Reports a batch that ended without an answer to the metrics and the gate. */
const troubleOf =
  ({ metrics }: Context, gate: DatabaseGate) =>
  (kind: "doubtful" | "away"): void => {
    if (kind === "doubtful") metrics.doubtfulBatches.inc();
    gate.suspect(kind === "doubtful" ? "lost" : "failed");
  };

/** Opens the notes in DATA_DIR about reservations in doubt. */
export const unresolvedIn = ({ config, log }: Context): UnresolvedReservations =>
  new UnresolvedReservations(join(config.dataDir, "unresolved.jsonl"), log);

/** Creates the batcher that takes seats. */
export function newBatcher(
  context: Context,
  unresolved: UnresolvedReservations,
  { run, reads, memory, seatEvents, trust, gate, reservationMetrics }: BatcherDependencies,
): Batcher {
  const { config, log } = context;
  return new Batcher({
    memory,
    mayTrustMemory: () => trust.isTrusted,
    run,
    readFacts: (reservationId) => findHoldAsMade(reads, reservationId),
    slotCount: config.reservationWorkers * config.batchesPerWorker,
    batchLimitSeats: config.batchLimitSeats,
    queueLimitSeats: config.queueLimitSeats,
    callerLimitSeats: (caller) =>
      caller.startsWith("key:") ? config.holdLimitKeySeats : config.holdLimitAddressSeats,
    observer: {
      decided: (batch) => {
        if (!batch.answer.databaseAway) gate.proven();
        reservationMetrics.decided(batch);
      },
      changed: (seats) => seatEvents.changed(seats, "this-process"),
      unresolved: (orders, state) => {
        if (orders.length === 0) return;
        unresolved[state](orders);
        if (state === "ended") return;
        log.error(
          { reservationIds: orders.map(({ reservationId }) => reservationId) },
          "told to try again before it was known: what was reserved is given back when the database answers",
        );
      },
      trouble: troubleOf(context, gate),
    },
  });
}

/** Creates what confirms, releases, extends and cancels reservations. */
export function newChanges(
  context: Context,
  batchesPerThread: number,
  { run, reads, memory, seatEvents, gate, reservationMetrics }: BatcherDependencies,
): Changes {
  const { config } = context;
  return new Changes({
    memory,
    run,
    readSeats: (reservationIds) => readSeatsOf(reads, reservationIds),
    slotCount: config.reservationWorkers * batchesPerThread,
    batchLimitReservations: config.batchLimitSeats,
    queueLimitReservations: config.queueLimitSeats,
    limitedCallers: [
      ...(config.holdLimitKeySeats > 0 ? (["key"] as const) : []),
      ...(config.holdLimitAddressSeats > 0 ? (["net"] as const) : []),
    ],
    observer: {
      changed: (seats) => seatEvents.changed(seats, "this-process"),
      decided: (count, ms) => reservationMetrics.changed(count, ms),
      trouble: troubleOf(context, gate),
    },
  });
}
