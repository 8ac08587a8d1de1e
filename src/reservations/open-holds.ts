import type { CatalogueKeeper } from "../catalogue/keeper.ts";
import type { Context } from "../parts/context.ts";
import type { KeyClaim } from "../postgres/claims.ts";
import type { Database } from "../postgres/connect.ts";
import {
  findEarliestHoldEnd,
  findReplay,
  findReservation,
  isWithinBuyerLimit,
} from "../postgres/reservations.ts";
import { readSeatsNamed } from "../postgres/seats.ts";
import { awaitStandbysOf } from "../postgres/standbys.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import type { Batcher } from "./batcher.ts";
import { CheckedHolds } from "./checked-holds.ts";
import { FreeSeats } from "./free-seats.ts";
import { FreeSeatsLook } from "./free-seats-look.ts";
import { Holds } from "./holds.ts";
import type { MemoryKeeper } from "./memory-keeper.ts";
import type { ReservationRoutesOptions } from "./routes.ts";
import { SeatFinder } from "./seat-finder.ts";
import { ReservationTokens } from "./token.ts";

export interface HoldsDependencies {
  /** Serves reads of reservations and idempotency keys that a request asks for. */
  database: Database;
  /** Serves searches, on a connection of its own. */
  searches: Database;
  batcher: Batcher;
  memory: SeatMemory;
  catalogue: CatalogueKeeper;
  keeper: MemoryKeeper;
}

/** The dependencies of the routes of `/api/v1/reservations`, except the batchers. */
export type OpenHolds = Pick<
  ReservationRoutesOptions,
  "holds" | "finder" | "tokens" | "findReservation" | "findReplay" | "findEarliestHoldEnd"
>;

/** Assembles the parts that hold seats: the search, the checks of wishes, and the lookup of earlier holds. */
export function openHolds(
  { config, parts }: Context,
  { database, searches, batcher, memory, catalogue: catalogueKeeper, keeper }: HoldsDependencies,
): OpenHolds {
  const { catalogue } = catalogueKeeper;
  const replayOf = async (key: KeyClaim) => {
    const facts = await findReplay(database, key);
    if (facts) await awaitStandbysOf(database.$client);
    return facts;
  };
  const finder = new SeatFinder({ catalogue, memory, isInFlight: (seatId) => batcher.isInFlight(seatId) });
  const freeSeatsLook = new FreeSeatsLook({
    database: searches,
    memory,
    completeSince: () => keeper.completeSince,
  });
  const freeSeats = new FreeSeats((sections) => freeSeatsLook.look(sections));
  const checkedHolds = new CheckedHolds({
    batcher,
    memory,
    readSeats: (seatIds) => readSeatsNamed(database, seatIds),
    findReplay: replayOf,
    isWithinLimit: (buyerId, seatId, moreSeats) => isWithinBuyerLimit(database, buyerId, seatId, moreSeats),
  });
  const holds = new Holds({
    batcher: checkedHolds,
    finder,
    eventOf: (seatId) => {
      const section = catalogue.sectionOf(seatId);
      return section && catalogue.event(section.eventId);
    },
    findEvent: async (eventId) => catalogue.event(eventId) ?? catalogueKeeper.find(eventId),
    refresh: (sections) => freeSeats.refresh(sections),
    findReplay: replayOf,
  });
  return {
    holds,
    finder,
    tokens: new ReservationTokens(config.tokenSecret ?? parts.database.tokenSecret),
    findReservation: (reservationId) => findReservation(database, reservationId),
    findReplay: replayOf,
    findEarliestHoldEnd: (seatIds) => findEarliestHoldEnd(database, seatIds),
  };
}
