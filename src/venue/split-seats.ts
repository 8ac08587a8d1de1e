import type { FreeRuns } from "./free-runs.ts";
import type { SeatGroup } from "./seat-group.ts";
import { FLAW } from "./seat-wish.ts";
import type { SectionSearch } from "./section-search.ts";

/**
 * How many seats aside the parts of a group may be. Positions move in halves: this allows one seat despite
 * rounding.
 */
const ASIDE_LIMIT_SEATS = 1.25;

/** Split groups of at least this size avoid leaving anybody alone. */
const COMPANY_SEATS = 4;

/** Offers groups in two neighbouring rows. All runs here are too short for the whole group. */
export function findSplit(search: SectionSearch, runs: FreeRuns, best: SeatGroup): void {
  const { quantity, seating } = search;
  for (let row = 0; row + 1 < seating.rowCount; row++) {
    if (runs.longestOf(row) + runs.longestOf(row + 1) < quantity) continue;
    if (search.budget.isSpent) return;
    const frontEnd = runs.firstOf(row + 1);
    const backEnd = runs.firstOf(row + 2);
    let front = runs.firstOf(row);
    let back = frontEnd;
    while (front < frontEnd && back < backEnd) {
      if (runs.lengthOf(front) + runs.lengthOf(back) >= quantity) {
        weighSplit(search, runs, row, front, row + 1, back, best);
        weighSplit(search, runs, row + 1, back, row, front, best);
      }
      if (seating.xOf(runs.endOf(front), row) <= seating.xOf(runs.endOf(back), row + 1)) front++;
      else back++;
    }
  }
}

/** Offers all of one run, with the rest of the group at each position where it fits into the other run. */
function weighSplit(
  search: SectionSearch,
  runs: FreeRuns,
  row: number,
  run: number,
  otherRow: number,
  otherRun: number,
  best: SeatGroup,
): void {
  const first = runs.startOf(run);
  const count = runs.lengthOf(run);
  const rest = search.quantity - count;
  // A search that runs out of budget skips its last groups.
  if (!search.budget.take(count + rest * Math.max(1, runs.lengthOf(otherRun) - rest + 1))) return;
  const middle = search.middleOf(row, first, count);
  const distance = search.distanceOf(row, middle, count);
  if (best.outdoes(distance)) return;
  const isLonely = search.quantity >= COMPANY_SEATS && (count === 1 || rest === 1);
  const flaws =
    search.flawsOf(first, count) + search.orphanFlawsOf(row, first, count) + (isLonely ? FLAW.alone : 0);
  for (let other = runs.startOf(otherRun); other + rest <= runs.endOf(otherRun); other++) {
    const otherMiddle = search.middleOf(otherRow, other, rest);
    // The gap between the last seat of one part and the first of the other; negative if they overlap.
    const asideSeats = Math.abs(otherMiddle - middle) / search.seatSpacing - (count + rest) / 2 + 1;
    if (asideSeats > ASIDE_LIMIT_SEATS) continue;
    const otherFlaws = search.flawsOf(other, rest) + search.orphanFlawsOf(otherRow, other, rest);
    best.offer(
      flaws + otherFlaws,
      distance + search.distanceOf(otherRow, otherMiddle, rest),
      search.firstSeatId + first,
      count,
      search.firstSeatId + other,
      rest,
    );
  }
}
