import { z } from "zod";
import type { SeatPage } from "../postgres/seat-views.ts";
import type { CatalogueKeeper } from "./keeper.ts";
import { seatView } from "./views.ts";

/** What every list of seats may be asked for. */
export const seatFilters = {
  status: z.enum(["available", "held", "reserved"]).optional(),
  after: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
};

/** Seats with what their events say of them. */
export async function seatPage({ seats, next }: SeatPage, keeper: CatalogueKeeper) {
  const wired = [];
  for (const seat of seats) wired.push(seatView(seat, await keeper.find(seat.eventId)));
  return { seats: wired, next };
}
