import { never } from "../runtime/assert.ts";
import { findAdjacent } from "./adjacent-seats.ts";
import { FreeRuns } from "./free-runs.ts";
import { NearestSeats } from "./nearest-seats.ts";
import { SearchBudget } from "./search-budget.ts";
import { SeatGroup } from "./seat-group.ts";
import { flawsByTraits, NOT_ALLOWED, type SearchedSection } from "./seat-wish.ts";
import { SectionSearch } from "./section-search.ts";
import { findSplit } from "./split-seats.ts";

export interface SeatSearch {
  /** 1 to 20. */
  quantity: number;
  /** General admission sections are skipped; use `nextFree` for them. */
  sections: readonly SearchedSection[];
  /** Indices of the acceptable price tiers; undefined means all. */
  priceTiers?: ReadonlySet<number>;
  /** `only` these; `any` seat; `avoid`: accessible seats only when no other group is found. */
  accessible: "only" | "any" | "avoid";
  /** `required`: adjacent seats or none; `preferred`: as close to adjacent as possible. */
  adjacency: "required" | "preferred";
  /** The point that the best seats are nearest to; undefined means the middle of each section's first row. */
  focal: { x: number; y: number } | undefined;
  isFree: (seatId: number) => boolean;
  /** Whether any of these consecutive seats may be free; false is certain, and saves a look at each of them. */
  mayHaveFree?: (firstSeatId: number, seatCount: number) => boolean;
  /** The search returns the best group found so far when the budget is spent. */
  budget?: SearchBudget;
}

/**
 * Finds the best free seats for a group. It only proposes seats; the database decides.
 *
 * A step runs only when the step before it found nothing in any section:
 * 1. adjacent seats in one row that leave no orphan (a single free seat between taken seats or at a row's
 *    end);
 * 2. adjacent seats in one row that leave as few orphans as possible;
 * 3. all of a run that is too short for the group, plus the rest of the group side by side in a neighbouring row,
 *    at most one seat aside. Few orphans are better, and in a group of 4 or more nobody sits alone if
 *    possible;
 * 4. the nearest seats of one section, in the section where they are best;
 * 5. the nearest seats of all sections.
 *
 * Within a step, the group with the fewest restricted-view seats wins, however far away it is. Among those,
 * the group with the smallest sum of squared distances to the focal point wins. Squares have two advantages:
 * the middle of a block gives its rank without a look at each seat, and one distant seat costs more than
 * several slightly distant ones, which keeps split groups together. Ties go to the row nearer to the focal
 * point, then to the lower seat ids.
 *
 * With `avoid`, all steps run without accessible seats first. If they find nothing, they run again with them,
 * and within a step the groups with the fewest accessible seats win.
 *
 * Cost: sections without a matching seat cost nothing, and rows that cannot win or are sold out are skipped. A
 * search takes a few hundred looks while blocks are free, a little over one look per seat of the other rows when
 * none is, and twice that when only accessible seats are left. Blocks of 4 in 20,000 seats take 6 µs with half of
 * the seats taken, 300 µs with 1% left and 65 µs with none left (`bun run bench:micro`, on a busy machine). Most of
 * that is the looks, so `isFree` must be fast.
 *
 * @returns seat ids in ascending order, or undefined if no group was found
 */
export function findBestSeats(search: SeatSearch): number[] | undefined {
  const { accessible } = search;
  switch (accessible) {
    case "only":
    case "any":
      return findAmong(search, accessible);
    case "avoid":
      return findAmong(search, "none") ?? (isAccessibleFree(search) ? findAmong(search, "few") : undefined);
    default:
      return never(accessible, "wish for accessible seats");
  }
}

/** Saves a sold-out section the second search. */
const isAccessibleFree = ({ sections, isFree, budget }: SeatSearch) =>
  sections.some(
    ({ seating, firstSeatId }) =>
      (budget?.take(seating.accessibleSeats.length) ?? true) &&
      seating.accessibleSeats.some((index) => isFree(firstSeatId + index)),
  );

/**
 * Returns whether enough accessible seats are free. They are few, so this is cheap and may save a search of
 * the whole house.
 */
function isEnoughAccessible({ sections, quantity, isFree, budget }: SeatSearch, flaws: Int32Array): boolean {
  let count = 0;
  for (const { seating, firstSeatId } of sections) {
    if (budget?.take(seating.accessibleSeats.length) === false) return false;
    for (const index of seating.accessibleSeats) {
      if (flaws[seating.traitsOf(index)] !== NOT_ALLOWED && isFree(firstSeatId + index)) count++;
    }
    if (count >= quantity) return true;
  }
  return false;
}

/** Returns the sections that have a seat of the wanted kind, free or not. */
export function sectionsThatMaySuit<Section extends SearchedSection>(
  sections: readonly Section[],
  { priceTiers, accessible }: Pick<SeatSearch, "priceTiers" | "accessible">,
): Section[] {
  const flaws = flawsByTraits(priceTiers, accessible === "avoid" ? "few" : accessible);
  return sections.filter(({ seating }) => seating.hasAnyOf((traits) => flaws[traits] !== NOT_ALLOWED));
}

function findAmong(search: SeatSearch, accessible: "only" | "any" | "none" | "few"): number[] | undefined {
  const { quantity, isFree, mayHaveFree = () => true, budget = new SearchBudget(Infinity) } = search;
  const flaws = flawsByTraits(search.priceTiers, accessible);
  if (accessible === "only" && !isEnoughAccessible(search, flaws)) return undefined;
  const wish = { quantity, isFree, mayHaveFree, budget, flawsByTraits: flaws };
  const sections = search.sections
    .filter(({ seating }) => seating.layout.kind === "assigned")
    .filter(({ seating }) => seating.hasAnyOf((traits) => flaws[traits] !== NOT_ALLOWED))
    .map((section) => new SectionSearch(section, wish, search.focal));

  const adjacent = new SeatGroup();
  for (const section of sections) findAdjacent(section, adjacent);
  if (adjacent.isFound || quantity === 1 || search.adjacency === "required") return adjacent.seatIds();

  const split = new SeatGroup();
  const ofAll = new NearestSeats(quantity);
  let ofOne: NearestSeats | undefined;
  for (const section of sections) {
    const runs = new FreeRuns(section);
    findSplit(section, runs, split);
    if (split.isFound) continue;
    const nearest = runs.findNearest();
    if (nearest.isFull && (!ofOne || nearest.isBetterThan(ofOne))) ofOne = nearest;
    ofAll.offerAll(nearest);
  }
  return split.seatIds() ?? ofOne?.seatIds() ?? (ofAll.isFull ? ofAll.seatIds() : undefined);
}
