import type { SeatPage } from "../postgres/seat-views.ts";
import type { CatalogueKeeper } from "./keeper.ts";
import { seatView } from "./views.ts";

/** Seats that a list looks at in a millisecond, which is one unit of a rate limit. */
export const LIST_SEATS_PER_UNIT = 5000;

/** Describes seats with the facts of their events. */
export async function seatPage({ seats, next }: Pick<SeatPage, "seats" | "next">, keeper: CatalogueKeeper) {
  const wired = [];
  for (const seat of seats) wired.push(seatView(seat, await keeper.find(seat.eventId)));
  return { seats: wired, next };
}
