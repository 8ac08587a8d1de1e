import type { SeatGroup } from "./seat-group.ts";
import { FLAW } from "./seat-wish.ts";
import type { SectionSearch } from "./section-search.ts";

/**
 * Offers all blocks of seats side by side that can be better than the best, from the focal point's row
 * outwards, and ends when no row that is left can have one.
 */
export function findAdjacent(search: SectionSearch, best: SeatGroup): void {
  for (const row of search.rows) {
    if (best.outdoes(search.leastDistanceOf(row, false))) return;
    const length = search.lengthOf(row);
    if (length < search.quantity || best.outdoes(search.leastDistanceOf(row, true))) continue;
    if (!search.budget.take(length)) return;
    searchRow(search, row, best);
  }
}

/**
 * Looks first at the seat where a block would end, and where that is taken goes on behind it: where nearly
 * all is sold, that is one look for as many seats as the block has.
 */
function searchRow(search: SectionSearch, row: number, best: SeatGroup): void {
  const { quantity, seating } = search;
  const rowEnd = seating.startOf(row + 1);
  let start = seating.startOf(row);
  while (start + quantity <= rowEnd) {
    let last = start + quantity - 1;
    while (last >= start && search.isOpen(last)) last--;
    if (last >= start) {
      start = last + 1;
      continue;
    }
    let end = start + quantity;
    while (end < rowEnd && search.isOpen(end)) end++;
    weighRun(search, row, start, end, best);
    start = end + 1;
  }
}

/** Offers each block of a run of open seats. */
function weighRun(search: SectionSearch, row: number, start: number, end: number, best: SeatGroup): void {
  const { quantity, firstSeatId } = search;
  // Free seats beyond the run that may not be had, an accessible one perhaps, keep its last seat company.
  const freeBefore = search.freeBeyond(start, -1, row);
  const freeAfter = search.freeBeyond(end - 1, 1, row);
  let flaws = search.flawsOf(start, quantity - 1);
  for (let first = start; first + quantity <= end; first++) {
    flaws += search.flawsAt(first + quantity - 1);
    const isOrphanBefore = freeBefore + first - start === 1;
    const isOrphanAfter = freeAfter + end - first - quantity === 1;
    const orphanFlaws = FLAW.orphan * (Number(isOrphanBefore) + Number(isOrphanAfter));
    const distance = search.distanceOf(row, search.middleOf(row, first, quantity), quantity);
    best.offer(flaws + orphanFlaws, distance, firstSeatId + first, quantity);
    flaws -= search.flawsAt(first);
  }
}
