import type { CatalogueKeeper } from "../catalogue/keeper.ts";
import type { Context } from "../parts/context.ts";
import type { Database } from "../postgres/connect.ts";
import type { DatabaseGate } from "../postgres/database-gate.ts";
import { newPresence } from "../postgres/presence.ts";
import type { RehearsalResult } from "../threads/messages.ts";
import type { SeatEvents } from "../venue/seat-events.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import { Admission } from "./admission.ts";
import type { Batcher } from "./batcher.ts";
import { newBatcher, newChanges, type RunTask, unresolvedIn } from "./batchers.ts";
import type { Changes } from "./changes.ts";
import { openGate } from "./gate.ts";
import { openGivingBack } from "./giving-back.ts";
import { type OpenHolds, openHolds } from "./open-holds.ts";
import { ReservationMetrics } from "./reservation-metrics.ts";
import { openSharedMemory } from "./shared-memory.ts";
import { openReservationThreads } from "./threads.ts";

/**
 * The time after which a batch is settled like one whose answer was lost. No batch takes as long with the default time
 * limits: lock and look (4 Redis commands), then two rounds of connect and statement.
 */
const BATCH_DEADLINE_MS = 15_000;

export interface ReservationsDependencies {
  connections: Record<"reads" | "probes" | "reservations" | "searches", Database>;
  /** Batches of confirmations and other changes that one thread runs at once. */
  changeBatchesPerThread: number;
  memory: SeatMemory;
  seatEvents: SeatEvents;
  catalogue: CatalogueKeeper;
}

export interface Reservations extends OpenHolds {
  batcher: Batcher;
  changes: Changes;
  reservationMetrics: ReservationMetrics;
  gate: DatabaseGate;
  admission: Admission;
  /** Updates the gauges. */
  refresh(): void;
}

/** Opens everything that sells seats, except HTTP: threads, memory, the database's gate, and the batchers behind it. */
export function openReservations(context: Context, dependencies: ReservationsDependencies): Reservations {
  const { config, metrics } = context;
  const { connections, memory, seatEvents, catalogue, changeBatchesPerThread } = dependencies;
  const presence = newPresence();
  const threads = openReservationThreads(context, {
    presence,
    batchesPerThread: config.batchesPerWorker + changeBatchesPerThread,
  });
  const run: RunTask = (task) => threads.run(task, BATCH_DEADLINE_MS);
  const { reads, probes } = connections;
  const shared = openSharedMemory(context, { memory, seatEvents, reads, probes, presence });
  const { keeper, trust } = shared;
  const rehearse = () => run<RehearsalResult>({ kind: "rehearse" });
  const gate = openGate(context, { probes, memory, catalogue, keeper, trust, rehearse });
  const reservationMetrics = new ReservationMetrics(metrics);
  const unresolved = unresolvedIn(context);
  const selling = { run, reads, memory, seatEvents, trust, gate, reservationMetrics };
  const batcher = newBatcher(context, unresolved, selling);
  const changes = newChanges(context, changeBatchesPerThread, selling);
  const admission = new Admission(gate, keeper, [batcher, changes]);
  openGivingBack(context, { run, memory, seatEvents, unresolved });
  const holds = openHolds(context, {
    database: connections.reservations,
    searches: connections.searches,
    batcher,
    memory,
    catalogue,
    keeper,
  });
  const refresh = () => {
    reservationMetrics.fold();
    metrics.queueSeats.set(batcher.queueSeats);
    metrics.queueLimitSeats.set(config.queueLimitSeats);
    metrics.seatsRemembered.set(memory.size);
    metrics.feedUp.set(shared.isFeedLive() ? 1 : 0);
    const { threadCount } = threads;
    const busyCount = Math.min(batcher.busySlots + changes.busySlots, threadCount);
    metrics.workerThreads.set({ pool: "reservation", state: "running" }, threadCount);
    metrics.workerThreads.set({ pool: "reservation", state: "busy" }, busyCount);
  };
  return { ...holds, batcher, changes, reservationMetrics, gate, admission, refresh };
}
