import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { Guard } from "../access/guard.ts";
import type { CatalogueKeeper } from "../catalogue/keeper.ts";
import type { Serve } from "../http/route.ts";
import type { Opening } from "../parts/context.ts";
import { openPool } from "../postgres/connect.ts";
import type { KeyClaim } from "../postgres/guards.ts";
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
import type { Changes } from "./changes.ts";
import { CheckedHolds } from "./checked-holds.ts";
import { FreeSeats } from "./free-seats.ts";
import { FreeSeatsLook } from "./free-seats-look.ts";
import { Holds } from "./holds.ts";
import type { Mark } from "./memory-keeper.ts";
import { reservationsRoutes } from "./routes.ts";
import { SeatFinder } from "./seat-finder.ts";
import { ReservationTokens } from "./token.ts";

/** For reservations and keys that are looked up and seats that are looked for, apart from readers of the catalogue. */
export const RESERVATION_READ_CONNECTIONS = 2;

/** For looks at what is free; one is under way at a time. */
export const SEARCH_CONNECTIONS = 1;

export interface ReservationNeighbours {
  batcher: Batcher;
  changes: Changes;
  memory: SeatMemory;
  keeper: CatalogueKeeper;
  guard: Guard;
  serve: Serve;
  /** A moment from before which memory has everything. */
  completeSince(): Mark | undefined;
}

/** The routes of `/api/v1/reservations` with what they stand on. */
export function openReservations(
  opening: Opening,
  { batcher, changes, memory, keeper, guard, serve, completeSince }: ReservationNeighbours,
) {
  const { config, parts, metrics, log } = opening;
  const pool = openReads(opening, "reservation-reads", RESERVATION_READ_CONNECTIONS);
  const database = drizzle(pool);
  const { catalogue } = keeper;
  const replayOf = async (key: KeyClaim) => {
    const facts = await findReplay(database, key);
    if (facts) await awaitStandbysOf(pool);
    return facts;
  };
  const finder = new SeatFinder({ catalogue, memory, isInFlight: (seatId) => batcher.isInFlight(seatId) });
  const freeSeatsLook = new FreeSeatsLook({
    database: drizzle(openReads(opening, "searches", SEARCH_CONNECTIONS)),
    memory,
    completeSince,
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
    findEvent: async (eventId) => catalogue.event(eventId) ?? keeper.find(eventId),
    refresh: (sections) => freeSeats.refresh(sections),
    findReplay: replayOf,
  });
  return reservationsRoutes({
    holds,
    changes,
    finder,
    tokens: new ReservationTokens(config.tokenSecret ?? parts.database.tokenSecret),
    keeper,
    guard,
    serve,
    findReservation: (reservationId) => findReservation(database, reservationId),
    findReplay: replayOf,
    findEarliestHoldEnd: (seatIds) => findEarliestHoldEnd(database, seatIds),
    metrics,
    log,
  });
}

function openReads(
  { config, parts, log, lifecycle }: Opening,
  name: string,
  connectionLimit: number,
): pg.Pool {
  const pool = openPool(
    {
      databaseUrl: parts.databaseUrl,
      connectTimeoutMs: config.connectTimeoutMs,
      statementTimeoutMs: config.statementTimeoutMs,
      name: `sentinel-${name}`,
      mayBeReadOnly: true,
      connectionLimit,
    },
    (error) => log.debug({ error: error.message }, "an idle database connection was lost"),
  );
  lifecycle.onClose(`pool for ${name}`, () => pool.end());
  return pool;
}
