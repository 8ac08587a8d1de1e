import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { Guard } from "../access/guard.ts";
import type { CatalogueKeeper } from "../catalogue/keeper.ts";
import type { Opening } from "../opening.ts";
import { findEarliestHoldEnd, findReplay, findReservation } from "../postgres/reservations.ts";
import { readFreeSeats } from "../postgres/seats.ts";
import type { SeatMemory } from "../seats/seat-memory.ts";
import type { Batcher } from "./batcher.ts";
import type { Changes } from "./changes.ts";
import { FreeSeats } from "./free-seats.ts";
import { Holds } from "./holds.ts";
import { learnPacked } from "./memory-keeper.ts";
import { reservationsRoutes } from "./reservation-routes.ts";
import { SeatFinder } from "./seat-finder.ts";
import { ReservationTokens } from "./token.ts";

export interface ReservationNeighbours {
  batcher: Batcher;
  changes: Changes;
  memory: SeatMemory;
  keeper: CatalogueKeeper;
  guard: Guard;
  database: NodePgDatabase;
}

/** The routes of `/api/v1/reservations` with what they stand on. */
export function openReservations(
  { config, parts, metrics, log }: Opening,
  { batcher, changes, memory, keeper, guard, database }: ReservationNeighbours,
) {
  const { catalogue } = keeper;
  const finder = new SeatFinder({ catalogue, memory, isInFlight: (seatId) => batcher.isInFlight(seatId) });
  const freeSeats = new FreeSeats(async (section) => {
    learnPacked(memory, await readFreeSeats(database, section));
  });
  const holds = new Holds({
    batcher,
    finder,
    eventOf: (seatId) => {
      const section = catalogue.sectionOf(seatId);
      return section && catalogue.event(section.eventId);
    },
    findEvent: async (eventId) => catalogue.event(eventId) ?? keeper.find(eventId),
    refresh: (section) => freeSeats.refresh(section),
    findReplay: (key) => findReplay(database, key),
  });
  return reservationsRoutes({
    holds,
    changes,
    finder,
    tokens: new ReservationTokens(config.tokenSecret ?? parts.database.tokenSecret),
    keeper,
    guard,
    findReservation: (reservationId) => findReservation(database, reservationId),
    findReplay: (key) => findReplay(database, key),
    findEarliestHoldEnd: (seatIds) => findEarliestHoldEnd(database, seatIds),
    metrics,
    log,
  });
}
