import type { Context } from "../parts/context.ts";
import { messageOf } from "../telemetry/log.ts";
import type { SeatChange, SeatEvents } from "../venue/seat-events.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import type { RunTask } from "./batchers.ts";
import { learnChanges } from "./seat-changes.ts";
import { Sweeper } from "./sweeper.ts";
import { SweeperLoop } from "./sweeper-loop.ts";
import { giveBackLeft, type UnresolvedReservations } from "./unresolved.ts";

export interface GivingBackDependencies {
  run: RunTask;
  memory: SeatMemory;
  seatEvents: SeatEvents;
  unresolved: UnresolvedReservations;
}

/**
 * Gives back the seats of holds that are over, and the seats that an earlier process on this DATA_DIR left in doubt.
 */
export function openGivingBack(
  context: Context,
  { run, memory, seatEvents, unresolved }: GivingBackDependencies,
): void {
  const { config, log } = context;
  const freed = (seats: [seatId: number, version: number][]) => {
    const changes = seats.map(
      ([seatId, version]): SeatChange => ({
        ...{ seatId, version, status: "available", final: false },
      }),
    );
    learnChanges(memory, changes);
    if (changes.length > 0) seatEvents.changed(changes, "this-process");
  };
  openSweeper(context, freed);
  giveBackLeft(unresolved, run, freed)
    .then(() => {
      if (config.webConcurrency === 1) unresolved.tidy();
    })
    .catch((error: unknown) => log.error({ error: messageOf(error) }, "DATA_DIR cannot be read"));
}

/** @param onFreed is called with the freed seats and their versions */
function openSweeper(
  { config, parts, metrics, log, lifecycle }: Context,
  onFreed: (freed: [seatId: number, version: number][]) => void,
): void {
  const { statementTimeoutMs, connectTimeoutMs } = config;
  const { databaseUrl } = parts;
  const sweeper = new Sweeper({ databaseUrl, statementTimeoutMs, connectTimeoutMs, log });
  const loop = new SweeperLoop(sweeper, ({ active, freed, overdue }) => {
    metrics.sweeperActive.set(active ? 1 : 0);
    if (overdue) {
      metrics.overdueHolds.set(overdue.count);
      metrics.overdueHoldSeconds.set(overdue.oldestSeconds);
    }
    metrics.sweptSeats.inc(freed.length);
    onFreed(freed);
  });
  lifecycle.onClose("sweeper", () => loop.stop());
}
