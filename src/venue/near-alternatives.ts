import { NearestSeats } from "./nearest-seats.ts";
import type { SearchedSection } from "./seat-wish.ts";

/** How far a near seat may be on either side. This limits the search to 451 looks per requested seat. */
const NEAR_ROWS = 5;
const NEAR_SEATS = 20;

export interface AlternativeSearch {
  /** All requested seats; none of them is offered. */
  asked: readonly number[];
  /** The sections that contain them; seats outside these sections are skipped. */
  sections: readonly SearchedSection[];
  limit: number;
  isFree(seatId: number): boolean;
}

/**
 * Finds up to `limit` free seats near the requested ones, nearest first, to name in a refusal. Accessible
 * seats are offered only in place of another accessible seat, so that nobody takes one by accident.
 */
export function nearAlternatives(search: AlternativeSearch): number[] {
  const nearest = new NearestSeats(search.limit);
  for (const seatId of search.asked) {
    const section = search.sections.find(
      ({ firstSeatId, seating }) => seatId >= firstSeatId && seatId < firstSeatId + seating.seatCount,
    );
    if (section) lookAround(seatId, section, search, nearest);
  }
  return nearest.toArray();
}

function lookAround(
  seatId: number,
  { firstSeatId, seating }: SearchedSection,
  search: AlternativeSearch,
  nearest: NearestSeats,
): void {
  const asked = seatId - firstSeatId;
  const ownRow = seating.rowOf(asked);
  const x = seating.xOf(asked, ownRow);
  const mayBeAccessible = seating.isAccessible(asked);
  const lastRow = Math.min(ownRow + NEAR_ROWS, seating.rowCount - 1);
  for (let row = Math.max(ownRow - NEAR_ROWS, 0); row <= lastRow; row++) {
    const away = (seating.yOf(row) - seating.yOf(ownRow)) ** 2;
    // In general admission all places are equally near, so the ones next in number will do.
    const middle = row === ownRow ? asked : seating.nearestTo(x, row);
    const last = Math.min(middle + NEAR_SEATS, seating.startOf(row + 1) - 1);
    for (let index = Math.max(middle - NEAR_SEATS, seating.startOf(row)); index <= last; index++) {
      const distance = away + (seating.xOf(index, row) - x) ** 2;
      if (nearest.outdoes(distance) || (seating.isAccessible(index) && !mayBeAccessible)) continue;
      const id = firstSeatId + index;
      if (search.isFree(id) && !search.asked.includes(id)) nearest.offer(id, 0, distance);
    }
  }
}
