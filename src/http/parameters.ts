import { z } from "zod";
import { integer } from "../config/setting-types.ts";
import { INVALID_SEAT_ID, parseSeatId, type SeatId } from "../venue/seat-id.ts";
import type { HeaderParameter, PathParameter } from "./contract.ts";
import { invalidValue, problem } from "./problem.ts";

/** Parameters that several operations have. */

/** An id that the database has counted up. */
export const id = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
const IN_DIGITS = "In decimal digits, without sign or leading zero.";

export const eventIdParameter: PathParameter<number> = {
  read: parseSeatId,
  refusal: () => invalidValue("path", "eventId", "must be a whole number from 1 to 2^53 - 1"),
  schema: id,
  description: IN_DIGITS,
  example: 1,
};

export const eventNotFound = (eventId: number) => problem("event-not-found", `There is no event ${eventId}.`);

export const seatNotFound = (seatId: number, headers: Record<string, string> = {}) =>
  problem("seat-not-found", `There is no seat ${seatId}.`, headers);

export const invalidSeatId = (headers: Record<string, string> = {}) =>
  problem("invalid-seat-id", `seatId ${INVALID_SEAT_ID}`, headers, {
    errors: [{ in: "path", pointer: "#/seatId", detail: INVALID_SEAT_ID }],
  });

export const seatIdParameter: PathParameter<SeatId> = {
  read: parseSeatId,
  refusal: invalidSeatId,
  schema: id,
  description: IN_DIGITS,
  example: 2,
};

export const idempotencyKeyHeader: HeaderParameter = {
  name: "Idempotency-Key",
  description:
    "Makes a retry safe: the same key with the same request gets the first success again, for 24 hours, with `Idempotency-Replayed: true`. Refusals are not kept. Choose a UUID.",
  schema: z.string().regex(/^[\x21-\x7e]{1,255}$/),
};

/** Tells that a response repeats the one to an earlier request with the same Idempotency-Key. */
export const REPLAYED = {
  "idempotency-replayed": "true",
  /** The name of version 0.1; shops that were written for it read it. */
  "idempotent-replayed": "true",
};
export const replayedHeader = {
  "Idempotency-Replayed":
    "`true` if this repeats the response to an earlier request with the same Idempotency-Key.",
};

/** A whole number in the query of an address. */
export const wholeNumber = (low: number, high: number) =>
  integer(low, high).meta({ shownAs: { type: "integer", minimum: low, maximum: high } });
