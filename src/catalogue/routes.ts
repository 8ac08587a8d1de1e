import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { Elysia } from "elysia";
import { z } from "zod";
import { jsonResponse, problemResponse, seatIdParameter } from "../http/openapi.ts";
import { problem } from "../http/problem.ts";
import { faultOf } from "../postgres/faults.ts";
import { findSeat, listSeats, type SeatView } from "../postgres/seats.ts";
import { INVALID_SEAT_ID, parseSeatId } from "../seats/seat-id.ts";
import { FaultLog, type Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { observed } from "../telemetry/observed.ts";

const MINOR_DIGITS = 2;

const seatSchema = {
  type: "object",
  required: ["seatId", "eventId", "seatNumber", "status", "version", "price", "currency"],
  properties: {
    seatId: { type: "integer" },
    eventId: { type: "integer" },
    seatNumber: { type: "string" },
    status: { type: "string", enum: ["available", "held", "reserved"] },
    version: { type: "integer", minimum: 0, description: "Changes so far." },
    price: { type: "string", description: "In units of the currency, with its decimals." },
    currency: { type: "string", description: "ISO 4217." },
  },
};

const seatExample = {
  seatId: 2,
  eventId: 1,
  seatNumber: "S-2",
  status: "available",
  version: 0,
  price: "150.00",
  currency: "EUR",
};

const listQuery = z.object({
  status: z.enum(["available", "held", "reserved"]).optional(),
  after: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});

const wire = ({ priceMinor, ...seat }: SeatView) => {
  const { currency, ...rest } = seat;
  return { ...rest, price: (priceMinor / 10 ** MINOR_DIGITS).toFixed(MINOR_DIGITS), currency };
};

export interface CatalogueOptions {
  database: NodePgDatabase;
  /** Whether enough readers wait for a connection. */
  isBusy(): boolean;
  metrics: Metrics;
  log: Logger;
}

/** Seats as they are in the database at this moment. */
export function catalogueRoutes({ database, isBusy, metrics, log }: CatalogueOptions) {
  const refusals = new FaultLog(log, "the database refuses what the catalogue asks");
  /** That the database is away is told once, by its gate; what it refuses is a fault of ours. */
  const fromDatabase = async <Answer>(read: () => Promise<Answer>): Promise<Answer | Response> => {
    if (isBusy()) return problem("unavailable", "Too many are reading now.", { "retry-after": "1" });
    try {
      const answer = await read();
      refusals.over();
      return answer;
    } catch (error) {
      if (faultOf(error) !== "doubtful") refusals.met(error);
      return problem("unavailable", "The database cannot be asked now.", { "retry-after": "1" });
    }
  };
  return new Elysia({ name: "catalogue" })
    .get(
      ...observed(metrics, "/api/v1/seats/:seatId", ({ params }) => {
        const seatId = parseSeatId(params.seatId ?? "");
        if (seatId === undefined) return problem("invalid-seat-id", INVALID_SEAT_ID);
        return fromDatabase(async () => {
          const seat = await findSeat(database, seatId);
          return seat ? wire(seat) : problem("seat-not-found", `There is no seat ${seatId}.`);
        });
      }),
      {
        detail: {
          operationId: "getSeat",
          tags: ["Seats"],
          summary: "Show a seat",
          parameters: [seatIdParameter],
          responses: {
            200: jsonResponse("The seat as it is now.", seatSchema, seatExample),
            400: problemResponse("The seat id is not a positive integer."),
            404: problemResponse("There is no such seat."),
            503: problemResponse("The database cannot be asked now."),
          },
        },
      },
    )
    .get(
      ...observed(metrics, "/api/v1/seats", ({ query }) => {
        const parsed = listQuery.safeParse(query);
        if (!parsed.success) {
          const issue = parsed.error.issues[0];
          return problem("invalid-request", `${issue?.path.join(".")}: ${issue?.message}.`);
        }
        const { status, after, limit } = parsed.data;
        return fromDatabase(async () => {
          const seats = await listSeats(database, { status, after, limit });
          return {
            seats: seats.map(wire),
            next: seats.length === limit ? (seats.at(-1)?.seatId ?? null) : null,
          };
        });
      }),
      {
        detail: {
          operationId: "listSeats",
          tags: ["Seats"],
          summary: "List seats by id",
          parameters: [
            {
              name: "status",
              in: "query",
              schema: { type: "string", enum: ["available", "held", "reserved"] },
            },
            {
              name: "after",
              in: "query",
              description: "Only seats with a greater id.",
              schema: { type: "integer", minimum: 0, default: 0 },
            },
            {
              name: "limit",
              in: "query",
              schema: { type: "integer", minimum: 1, maximum: 1000, default: 100 },
            },
          ],
          responses: {
            200: jsonResponse(
              "Seats in the order of their ids; `next` is the `after` of the next page, or null.",
              {
                type: "object",
                required: ["seats", "next"],
                properties: {
                  seats: { type: "array", items: seatSchema },
                  next: { type: ["integer", "null"] },
                },
              },
              { seats: [seatExample], next: null },
            ),
            400: problemResponse("A parameter is not valid; the detail names it."),
            503: problemResponse("The database cannot be asked now."),
          },
        },
      },
    );
}
