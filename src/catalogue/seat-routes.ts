import { isSeller } from "../http/caller.ts";
import { seatNotFound } from "../http/parameters.ts";
import type { Route } from "../http/route.ts";
import { readSeatHistory } from "../postgres/seat-history.ts";
import { findSeat, listSeats as readSeats } from "../postgres/seat-views.ts";
import { getSeat, getSeatHistory, listSeats } from "./contract.ts";
import type { RouteDependencies } from "./dependencies.ts";
import { LIST_SEATS_PER_UNIT, seatPage } from "./seat-page.ts";
import { seatView } from "./views.ts";

/** Routes that show seats as the database has them now, and their history. */
export function seatRoutes(dependencies: RouteDependencies): Route[] {
  const { serve, database, askDatabase: ask, keeper, guard } = dependencies;
  return [
    serve(getSeat, ({ params: { seatId } }) =>
      ask(async () => {
        const seat = await findSeat(database, seatId);
        return seat ? seatView(seat, await keeper.find(seat.eventId)) : seatNotFound(seatId);
      }),
    ),
    serve(listSeats, ({ query, request }) =>
      ask(async () => {
        const page = await readSeats(database, query);
        guard.charge(request, page.lookedAt / LIST_SEATS_PER_UNIT);
        return seatPage(page, keeper);
      }),
    ),
    serve(getSeatHistory, ({ params: { seatId }, query }, caller) =>
      ask(async () => {
        const rows = await readSeatHistory(database, seatId, query);
        if (rows.length === 0 && !(await findSeat(database, seatId))) return seatNotFound(seatId);
        return {
          seatId,
          history: rows.map(({ at, ...row }) => ({
            ...row,
            // Only sellers may see which seats were bought together.
            ...(isSeller(caller) ? {} : { reservationId: null, replacesReservationId: null }),
            at: at.toISOString(),
          })),
          next: rows.length === query.limit ? (rows.at(-1)?.version ?? null) : null,
        };
      }),
    ),
  ];
}
