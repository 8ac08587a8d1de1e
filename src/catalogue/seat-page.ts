import { z } from "zod";
import { integer } from "../config/setting-types.ts";
import type { SeatPage } from "../postgres/seat-views.ts";
import type { CatalogueKeeper } from "./keeper.ts";
import { seatView } from "./views.ts";

/** What every list of seats may be asked for. */
export const seatFilters = {
  status: z.enum(["available", "held", "reserved"]).optional(),
  after: integer(0, Number.MAX_SAFE_INTEGER).default(0),
  limit: integer(1, 1000).default(100),
};

/** How many seats a list looks at in a millisecond, which is one unit of a rate limit. */
export const LIST_SEATS_PER_UNIT = 5000;

/** Seats with what their events say of them. */
export async function seatPage({ seats, next }: Pick<SeatPage, "seats" | "next">, keeper: CatalogueKeeper) {
  const wired = [];
  for (const seat of seats) wired.push(seatView(seat, await keeper.find(seat.eventId)));
  return { seats: wired, next };
}
