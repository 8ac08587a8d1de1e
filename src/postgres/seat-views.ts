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
  priceMinor: seatPriceOf(seats),
  priceTier: seats.priceTier,
  accessible: seats.accessible,
  restrictedView: seats.restrictedView,
};

/** A seat's row, as far as clients may see it; its section is found by its id. */
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
  /** Seats from `first` up to, not including, `end`: a section, or a whole event. */
  range?: { first: number; end: number } | undefined;
  status?: SeatView["status"] | undefined;
  priceTier?: number | undefined;
  accessible?: boolean | undefined;
  row?: string | undefined;
  after: number;
  limit: number;
}

/** Rows one page looks at: no index knows what is filtered by, and a filter may fit none of a million. */
const SCAN_LIMIT_SEATS = 50_000;

export interface SeatPage {
  seats: SeatView[];
  /** What the next page goes on after; null when nothing follows. A page may be short though more follow. */
  next: number | null;
  /** The most seats that may have been looked at for this page. */
  lookedAt: number;
}

/** Seats by id. */
export async function listSeats(database: NodePgDatabase, query: SeatQuery): Promise<SeatPage> {
  const { eventId, range, status, priceTier, accessible, row, limit } = query;
  const after = Math.max(query.after, range ? range.first - 1 : 0);
  const scanEnd = after + SCAN_LIMIT_SEATS;
  const filters = [
    gt(seats.id, after),
    lte(seats.id, scanEnd),
    range && lt(seats.id, range.end),
    eventId === undefined ? undefined : eq(seats.eventId, eventId),
    status && eq(seats.status, status),
    priceTier === undefined ? undefined : eq(seats.priceTier, priceTier),
    accessible === undefined ? undefined : eq(seats.accessible, accessible),
    row === undefined ? undefined : eq(seats.rowLabel, row),
  ];
  const found = await database
    .select(view)
    .from(seats)
    .where(and(...filters))
    .orderBy(asc(seats.id))
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
  const end = Math.min(scanEnd, range ? range.end - 1 : scanEnd);
  return { seats: found, next: further ? scanEnd : null, lookedAt: Math.max(0, end - after) };
}
