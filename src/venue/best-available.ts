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
  /** Sections of general admission are passed over: `nextFree` gives places there. */
  sections: readonly SearchedSection[];
  /** Indices of the price tiers that will do; undefined: all. */
  priceTiers?: ReadonlySet<number>;
  /** Accessible seats: `only` those; `any` seat; `avoid` them, left for those who need them while others are there. */
  accessible: "only" | "any" | "avoid";
  /** `required`: side by side or none; `preferred`: as near to that as can be. */
  adjacency: "required" | "preferred";
  /** Where everybody wants to sit; undefined: the middle of the first row of each section. */
  focal: { x: number; y: number } | undefined;
  isFree: (seatId: number) => boolean;
  /** When it is spent, the search ends with the best group found so far. */
  budget?: SearchBudget;
}

/**
 * The best free seats for a group, of those that are known to be free. It only proposes: the database decides.
 *
 * A step is taken when the one before finds nothing in any of the sections:
 * 1. side by side in one row, leaving no orphan (a free seat alone between taken ones or a row's end);
 * 2. side by side in one row, leaving as few orphans as can be;
 * 3. a run of seats that is too short, all of it, so that as many as can be sit side by side there, and the
 *    rest side by side in the row before or behind, at most one seat aside; leaving few orphans, and in a
 *    group of 4 or more nobody alone, where that can be had;
 * 4. the nearest seats of one section, the section where they are best;
 * 5. the nearest seats of all sections.
 *
 * Within a step the group with the fewest seats of restricted view is best, however far it is, and among those
 * the nearest: the one whose seats' squared distances from the focal point have the least sum. Squares, since
 * for a block that is the order of the distance of its middle, known without looking at each seat, and a split
 * group is not stretched: one seat far out weighs more than several a little off. Of equals, the one in the row
 * nearer to the focal point and then with the lower ids.
 *
 * With accessible seats to `avoid`, all steps are tried without them; only when none of these finds anything,
 * once more with them, and the groups with the fewest of them are best within a step.
 *
 * Cost: sections without a seat of the wanted kind cost nothing, and rows that cannot be better are left out. So while
 * blocks are free, a few hundred looks are enough. Without a free block it takes a little over one look at each seat, and
 * twice that when only accessible seats are left.
 * Blocks of 4 in 20,000 seats: 3 to 7 µs with half of them taken, 70 to 130 µs with 1% left or none
 * (`bun run bench:micro`), most of it the looks: `isFree` must be quick.
 *
 * @returns seat ids, ascending; undefined when there are none
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
      return accessible satisfies never;
  }
}

/** Spares a sold-out section the second search. */
const isAccessibleFree = ({ sections, isFree, budget }: SeatSearch) =>
  sections.some(
    ({ seating, firstSeatId }) =>
      (budget?.take(seating.accessibleSeats.length) ?? true) &&
      seating.accessibleSeats.some((index) => isFree(firstSeatId + index)),
  );

/** Accessible seats are few: looking at them first avoids a search of the whole house for seats that it does not have. */
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

/** Those of the sections that have a seat of the wanted kind, free or not. */
export function sectionsThatMaySuit<Section extends SearchedSection>(
  sections: readonly Section[],
  { priceTiers, accessible }: Pick<SeatSearch, "priceTiers" | "accessible">,
): Section[] {
  const flaws = flawsByTraits(priceTiers, accessible === "avoid" ? "few" : accessible);
  return sections.filter(({ seating }) => seating.hasAnyOf((traits) => flaws[traits] !== NOT_ALLOWED));
}

function findAmong(search: SeatSearch, accessible: "only" | "any" | "none" | "few"): number[] | undefined {
  const { quantity, isFree, budget = new SearchBudget(Number.POSITIVE_INFINITY) } = search;
  const flaws = flawsByTraits(search.priceTiers, accessible);
  if (accessible === "only" && !isEnoughAccessible(search, flaws)) return undefined;
  const wish = { quantity, isFree, budget, flawsByTraits: flaws };
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
