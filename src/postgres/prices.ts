import { type SQL, sql } from "drizzle-orm";
import type { seats } from "./schema.ts";

/**
 * Prices are whole minor units up to 2^53 - 1. A price that fits an `integer` is in `price_minor`, which
 * earlier versions read; a larger one is only in `price_minor_large`.
 */
const INTEGER_LIMIT = 2 ** 31 - 1;

/** Returns a seat's price as SQL; `row` is its row of `seats`, or a statement's result with the same columns. */
export const seatPrice = (row: string) => sql.raw(`coalesce(${row}.price_minor, ${row}.price_minor_large)`);

/** Returns a seat's price as a column of a Drizzle query. */
export const seatPriceOf = (seat: typeof seats): SQL<number> =>
  sql<number>`coalesce(${seat.priceMinor}, ${seat.priceMinorLarge})`.mapWith(Number);

/** Returns the prices of a reservation's seats as a JSON array in SQL. */
export const reservationPrices = (row: string) =>
  sql.raw(`coalesce(array_to_json(${row}.prices_minor_large), array_to_json(${row}.prices_minor))`);

/** Returns the values of a seat's two price columns for a price, given as a `bigint`. */
export const storedPrice = (amount: SQL) =>
  sql`case when ${amount} <= ${sql.raw(String(INTEGER_LIMIT))} then ${amount}::int end, case when ${amount} > ${sql.raw(String(INTEGER_LIMIT))} then ${amount} end`;
