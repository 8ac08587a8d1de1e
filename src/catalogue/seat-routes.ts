import { Elysia } from "elysia";
import { z } from "zod";
import { isSeller } from "../access/guard.ts";
import { integer } from "../config/setting-types.ts";
import { observed, observedWithQuery } from "../http/observed.ts";
import { problem } from "../http/problem.ts";
import { readSeatHistory } from "../postgres/seat-history.ts";
import { findSeat, listSeats } from "../postgres/seat-views.ts";
import { INVALID_SEAT_ID, parseSeatId, type SeatId } from "../venue/seat-id.ts";
import { readQuery } from "./asking.ts";
import type { CatalogueNeighbours } from "./neighbours.ts";
import { historyDetail, seatDetail, seatsDetail } from "./seat-openapi.ts";
import { LIST_SEATS_PER_UNIT, seatFilters, seatPage } from "./seat-page.ts";
import { seatView } from "./views.ts";

const SEATS = "/api/v1/seats";

const listQuery = z.strictObject(seatFilters);

/** Versions are 32-bit integers in the database. */
const VERSION_LIMIT = 2 ** 31 - 1;
const historyQuery = z.strictObject({
  after: integer(0, VERSION_LIMIT).default(0),
  limit: integer(1, 1000).default(100),
});

/** Seats as they are in the database at this moment, and what has happened to them. */
export function seatRoutes({ database, askDatabase: ask, keeper, guard, metrics }: CatalogueNeighbours) {
  /** Answers about a seat that there is. */
  const ofSeat = (text: string | undefined, answer: (seatId: SeatId) => Promise<unknown>) => {
    const seatId = parseSeatId(text ?? "");
    return seatId === undefined ? problem("invalid-seat-id", INVALID_SEAT_ID) : ask(() => answer(seatId));
  };
  const notFound = (seatId: SeatId) => problem("seat-not-found", `There is no seat ${seatId}.`);

  return new Elysia({ name: "seats" })
    .get(
      ...observed(
        metrics,
        `${SEATS}/:seatId`,
        guard.guarded("reader", ({ params }) =>
          ofSeat(params.seatId, async (seatId) => {
            const seat = await findSeat(database, seatId);
            return seat ? seatView(seat, await keeper.find(seat.eventId)) : notFound(seatId);
          }),
        ),
      ),
      { detail: seatDetail },
    )
    .get(
      ...observedWithQuery(
        metrics,
        SEATS,
        guard.guarded("reader", ({ query, request }) => {
          const read = readQuery(query, listQuery);
          if ("problem" in read) return read.problem;
          return ask(async () => {
            const page = await listSeats(database, read.value);
            guard.charge(request, page.lookedAt / LIST_SEATS_PER_UNIT);
            return seatPage(page, keeper);
          });
        }),
      ),
      { detail: seatsDetail },
    )
    .get(
      ...observedWithQuery(
        metrics,
        `${SEATS}/:seatId/history`,
        guard.guarded("reader", ({ params, query }, caller) => {
          const read = readQuery(query, historyQuery);
          if ("problem" in read) return read.problem;
          const { limit } = read.value;
          return ofSeat(params.seatId, async (seatId) => {
            const rows = await readSeatHistory(database, seatId, read.value);
            if (rows.length === 0 && !(await findSeat(database, seatId))) return notFound(seatId);
            return {
              seatId,
              history: rows.map(({ at, ...row }) => ({
                ...row,
                // Which seats were bought together is for those who sell them.
                ...(isSeller(caller) ? {} : { reservationId: null, replacesReservationId: null }),
                at: at.toISOString(),
              })),
              next: rows.length === limit ? (rows.at(-1)?.version ?? null) : null,
            };
          });
        }),
      ),
      { detail: historyDetail },
    );
}
