import { and, asc, eq, gt, lt, lte } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { seatPriceOf } from "./prices.ts";
import { seats } from "./schema.ts";

const view = {
  seatId: seats.id,
  eventId: seats.eventId,
  row: seats.rowLabel,
  seatNumber: seats.seatNumber,
  status: seats.status,
  version: seats.version,
  priceMinor: seatPriceOf(seats).as("price"),
  priceTier: seats.priceTier,
  accessible: seats.accessible,
  restrictedView: seats.restrictedView,
};

/** The fields of a seat's row that clients may see. Its section is found by its id. */
export type SeatView = Pick<
  typeof seats.$inferSelect,
  "eventId" | "seatNumber" | "status" | "version" | "priceTier" | "accessible" | "restrictedView"
> & { seatId: number; row: string | null; priceMinor: number };

export async function findSeat(database: NodePgDatabase, seatId: number): Promise<SeatView | undefined> {
  const found = await database.select(view).from(seats).where(eq(seats.id, seatId));
  return found[0];
}

export interface SeatQuery {
  eventId?: number | undefined;
  /** Seats from `first` up to, but not including, `end`: a section or a whole event. */
  range?: { first: number; end: number } | undefined;
  status?: SeatView["status"] | undefined;
  priceTier?: number | undefined;
  accessible?: boolean | undefined;
  row?: string | undefined;
  after: number;
  limit: number;
}

/** Rows read per page. No index supports the filters, and a filter may match none of a million seats. */
const SCAN_LIMIT_SEATS = 50_000;

export interface SeatPage {
  seats: SeatView[];
  /** Where the next page continues; null if nothing follows. A page may be short although more follow. */
  next: number | null;
  /** The most seats that may have been read for this page. */
  lookedAt: number;
}

/**
 * Lists seats in the order of their ids. The inner query reads the next seats by id, whatever they are, and the outer one
 * filters them. With all conditions in one query, Postgres expects a hundred matches in a new event that it has not
 * analysed yet, and reads and sorts all 50,000 seats for a page of 50.
 */
export async function listSeats(database: NodePgDatabase, query: SeatQuery): Promise<SeatPage> {
  const { eventId, range, status, priceTier, accessible, row, limit } = query;
  const after = Math.max(query.after, range ? range.first - 1 : 0);
  const scanEnd = after + SCAN_LIMIT_SEATS;
  const end = Math.min(scanEnd, range ? range.end - 1 : scanEnd);
  const next = database
    .select(view)
    .from(seats)
    .where(gt(seats.id, after))
    .orderBy(asc(seats.id))
    .limit(Math.max(0, end - after))
    .as("next");
  const found = await database
    .select()
    .from(next)
    .where(
      and(
        lte(next.seatId, end),
        eventId === undefined ? undefined : eq(next.eventId, eventId),
        status && eq(next.status, status),
        priceTier === undefined ? undefined : eq(next.priceTier, priceTier),
        accessible === undefined ? undefined : eq(next.accessible, accessible),
        row === undefined ? undefined : eq(next.row, row),
      ),
    )
    .orderBy(asc(next.seatId))
    .limit(limit);
  if (found.length === limit) {
    const last = found.at(-1)?.seatId ?? after;
    return { seats: found, next: last, lookedAt: Math.min(SCAN_LIMIT_SEATS, last - after) };
  }
  const [further] = await database
    .select({ id: seats.id })
    .from(seats)
    .where(and(gt(seats.id, scanEnd), range && lt(seats.id, range.end)))
    .orderBy(asc(seats.id))
    .limit(1);
  return { seats: found, next: further ? scanEnd : null, lookedAt: Math.max(0, end - after) };
}
