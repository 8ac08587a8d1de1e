import type { CatalogueEvent } from "../venue/catalogue.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import { placesOf, SeatMap } from "./seat-map.ts";

/**
 * A map stays in use for at least `MAP_AGE_MS` per `MAP_AGE_SEATS` seats or part of them, however fast its event sells.
 * So this is how old it may be. With its gzipped JSON, a map of 100,000 seats takes 0.6 ms, and one of a million 4.4
 * ms.
 */
export const MAP_AGE_MS = 50;
export const MAP_AGE_SEATS = 250_000;

/**
 * Maximum number of maps kept; the least recently used makes way. A map of 100,000 seats is 25 KB, and its forms are
 * three times that.
 */
const MAP_LIMIT = 32;

interface Kept {
  map: SeatMap;
  /** `SeatMemory.changes` when the map was made. */
  changes: number;
  sectionCount: number;
  /** The map stays in use until this time, whatever changes. */
  untilMs: number;
}

/** Keeps maps of events, made from this process's memory. A map is made on request, if something has changed. */
export class MapCache {
  /** The least recently used map comes first. */
  private readonly kept = new Map<number, Kept>();

  constructor(
    private readonly memory: SeatMemory,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  mapOf(event: CatalogueEvent): SeatMap {
    const known = this.kept.get(event.id);
    const now = this.nowMs();
    const kept = known && this.isFresh(known, event, now) ? known : this.make(event, known?.map, now);
    this.kept.delete(event.id);
    this.kept.set(event.id, kept);
    const [oldest] = this.kept.size > MAP_LIMIT ? this.kept.keys() : [];
    if (oldest !== undefined) this.kept.delete(oldest);
    return kept.map;
  }

  private isFresh({ changes, sectionCount, untilMs }: Kept, event: CatalogueEvent, now: number): boolean {
    if (sectionCount !== event.sections.length) return false;
    return changes === this.memory.changes || now < untilMs;
  }

  /**
   * Makes the map. If its seats are the same as before, the previous map is returned, so that clients need not fetch it
   * again.
   */
  private make(event: CatalogueEvent, previous: SeatMap | undefined, now: number): Kept {
    const { changes } = this.memory;
    const { places, byteCount } = placesOf(event);
    const bytes = new Uint8Array(byteCount);
    for (const { firstSeatId, seatCount, offset } of places) {
      this.memory.packStatuses(firstSeatId, seatCount, bytes.subarray(offset));
    }
    const isSame = previous !== undefined && Buffer.compare(previous.bytes, bytes) === 0;
    const map = isSame ? previous : new SeatMap(event.id, places, bytes, Date.now());
    const seatCount = places.reduce((sum, place) => sum + place.seatCount, 0);
    const untilMs = now + MAP_AGE_MS * Math.ceil(seatCount / MAP_AGE_SEATS);
    return { map, changes, sectionCount: places.length, untilMs };
  }
}
