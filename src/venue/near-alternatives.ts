import { NearestSeats } from "./nearest-seats.ts";
import type { SearchedSection } from "./seat-wish.ts";

/** How far "near" goes to either side: so at most 451 seats are looked at for each that was asked for. */
const NEAR_ROWS = 5;
const NEAR_SEATS = 20;

export interface AlternativeSearch {
  /** The seats that were asked for, all of them; none of them is offered. */
  asked: readonly number[];
  /** Where they lie; seats that lie in none of these sections are passed over. */
  sections: readonly SearchedSection[];
  limit: number;
  isFree(seatId: number): boolean;
}

/**
 * Up to `limit` free seats near the ones that were asked for, to name in a refusal: the nearest to any of
 * them first. An accessible seat is offered only in place of another, so that nobody takes one by accident.
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
    // In general admission all places are equally near: the ones that follow in number will do.
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
