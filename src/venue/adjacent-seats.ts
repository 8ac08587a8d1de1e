import type { SeatGroup } from "./seat-group.ts";
import { FLAW } from "./seat-wish.ts";
import { ROW_STEPS, type SectionSearch } from "./section-search.ts";

/**
 * Offers every block of adjacent seats that can beat the best so far. Starts at the row of the focal point,
 * moves outwards, and stops when no remaining row can have a better block.
 */
export function findAdjacent(search: SectionSearch, best: SeatGroup): void {
  for (const row of search.rows) {
    if (best.outdoes(search.leastDistanceOf(row, false)) || !search.budget.take(ROW_STEPS)) return;
    if (search.lengthOf(row) < search.quantity || best.outdoes(search.leastDistanceOf(row, true))) continue;
    if (!search.mayHaveFreeIn(row)) continue;
    const { start, end } = search.stretchWithin(row, best.distanceToBeat);
    if (!search.budget.take(Math.max(0, end - start))) return;
    searchStretch(search, row, start, end, best);
  }
}

/**
 * Offers every block of a stretch of one row. Checks the last seat of a block first and, if it is taken, continues
 * behind it. In a nearly sold-out row this is one look per block length.
 */
function searchStretch(search: SectionSearch, row: number, from: number, to: number, best: SeatGroup): void {
  const { quantity } = search;
  let start = from;
  while (start + quantity <= to) {
    let last = start + quantity - 1;
    while (last >= start && search.isOpen(last)) last--;
    if (last >= start) {
      start = last + 1;
      continue;
    }
    let end = start + quantity;
    while (end < to && search.isOpen(end)) end++;
    weighRun(search, row, start, end, best);
    start = end + 1;
  }
}

function weighRun(search: SectionSearch, row: number, start: number, end: number, best: SeatGroup): void {
  const { quantity, firstSeatId } = search;
  // Free seats beyond the run count here, although the stretch ends there or the buyer may not have them (accessible
  // ones, for example): the last seat of the run is then no orphan.
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
