import { and, asc, eq, gt, gte, lt } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { seats } from "./schema.ts";

const view = {
  seatId: seats.id,
  eventId: seats.eventId,
  row: seats.rowLabel,
  seatNumber: seats.seatNumber,
  status: seats.status,
  version: seats.version,
  priceMinor: seats.priceMinor,
  priceTier: seats.priceTier,
  accessible: seats.accessible,
  restrictedView: seats.restrictedView,
};

/** A seat's row, as far as clients may see it; its section is found by its id. */
export type SeatView = Pick<
  typeof seats.$inferSelect,
  | "eventId"
  | "seatNumber"
  | "status"
  | "version"
  | "priceMinor"
  | "priceTier"
  | "accessible"
  | "restrictedView"
> & { seatId: number; row: string | null };

export async function findSeat(database: NodePgDatabase, seatId: number): Promise<SeatView | undefined> {
  const found = await database.select(view).from(seats).where(eq(seats.id, seatId));
  return found[0];
}

export interface SeatQuery {
  eventId?: number | undefined;
  /** Seats from `first` up to, not including, `end`: a section, or a whole event. */
  range?: { first: number; end: number } | undefined;
  status?: SeatView["status"] | undefined;
  priceTier?: number | undefined;
  accessible?: boolean | undefined;
  row?: string | undefined;
  after: number;
  limit: number;
}

/** Seats by id. No index knows what is filtered by: within its range it reads row by row until the page is full. */
export function listSeats(database: NodePgDatabase, query: SeatQuery): Promise<SeatView[]> {
  const { eventId, range, status, priceTier, accessible, row, after, limit } = query;
  const filters = [
    gt(seats.id, after),
    range && gte(seats.id, range.first),
    range && lt(seats.id, range.end),
    eventId === undefined ? undefined : eq(seats.eventId, eventId),
    status && eq(seats.status, status),
    priceTier === undefined ? undefined : eq(seats.priceTier, priceTier),
    accessible === undefined ? undefined : eq(seats.accessible, accessible),
    row === undefined ? undefined : eq(seats.rowLabel, row),
  ];
  return database
    .select(view)
    .from(seats)
    .where(and(...filters))
    .orderBy(asc(seats.id))
    .limit(limit);
}
