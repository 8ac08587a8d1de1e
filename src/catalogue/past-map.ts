import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { countHistoryRows, readStatusesAt } from "../postgres/seat-history.ts";
import type { CatalogueEvent } from "../venue/catalogue.ts";
import { fillAvailable, placesOf, SeatMap, setStatus } from "./seat-map.ts";

/**
 * Maximum number of seats that one statement looks up. A larger range would come close to the statement's
 * time limit.
 */
const RANGE_LIMIT_SEATS = 50_000;
const WORD_BYTES = 4;

/**
 * Maximum number of ledger rows that one request for the past reads, unless a seller sends it. Postgres takes
 * 100 ms for them.
 */
export const PAST_LIMIT_ROWS = 60_000;

export const PAST_TOO_COSTLY = `at: the seats of this event have changed more than ${PAST_LIMIT_ROWS} times; only a seller's API key may look into their past.`;

/** Counts the ledger rows of an event, up to a limit. */
export async function countPastRows(
  database: NodePgDatabase,
  event: CatalogueEvent,
  limit: number,
): Promise<number> {
  let count = 0;
  for (const section of event.sections) {
    if (count >= limit) break;
    count += await countHistoryRows(database, section, limit - count);
  }
  return count;
}

/** Returns an event's map at a past moment, from the ledger. */
export async function pastMap(
  database: NodePgDatabase,
  event: CatalogueEvent,
  atMs: number,
): Promise<SeatMap> {
  const { places, byteCount } = placesOf(event);
  const bytes = new Uint8Array(byteCount);
  for (const place of places) {
    fillAvailable(bytes, place);
    for (let first = 0; first < place.seatCount; first += RANGE_LIMIT_SEATS) {
      const seatCount = Math.min(RANGE_LIMIT_SEATS, place.seatCount - first);
      const words = await readStatusesAt(database, {
        firstSeatId: place.firstSeatId + first,
        seatCount,
        atMs,
      });
      for (let position = 0; position < words.length; position += WORD_BYTES) {
        const word = words.readUInt32BE(position);
        setStatus(bytes, place.offset, first + (word >> 2), word & 0b11);
      }
    }
  }
  return new SeatMap(event.id, places, bytes, atMs);
}
