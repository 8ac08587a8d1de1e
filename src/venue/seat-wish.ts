import { ACCESSIBLE_BIT, RESTRICTED_VIEW_BIT, type Seating, TIER_MASK, TRAITS_LIMIT } from "./layout.ts";
import type { SearchBudget } from "./search-budget.ts";

/** One section to search. Seat `firstSeatId + index` is at `index` of the seating. */
export interface SearchedSection {
  firstSeatId: number;
  seating: Seating;
}

/** The seats a search looks for, the same in every section. */
export interface SeatWish {
  quantity: number;
  /** The flaws of a seat by its traits (see `Seating`), or `NOT_ALLOWED`. */
  flawsByTraits: Int32Array;
  isFree: (seatId: number) => boolean;
  /** Whether any of these consecutive seats may be free; false is certain. */
  mayHaveFree: (firstSeatId: number, seatCount: number) => boolean;
  budget: SearchBudget;
}

/** Marks a seat that the buyer may not have, in place of its flaws. */
export const NOT_ALLOWED = -1;

/**
 * Penalties of a seat or a group. One of a worse kind outweighs all lesser ones, since a group has at most 20
 * seats.
 */
export const FLAW = { alone: 1, restrictedView: 1 << 6, accessible: 1 << 12, orphan: 1 << 18 } as const;

/** Returns the flaws by traits. With `few`, accessible seats are allowed, but fewer are better. */
export function flawsByTraits(
  priceTiers: ReadonlySet<number> | undefined,
  accessible: "only" | "any" | "none" | "few",
): Int32Array {
  const flaws = new Int32Array(TRAITS_LIMIT);
  for (let traits = 0; traits < TRAITS_LIMIT; traits++) {
    const isAccessible = (traits & ACCESSIBLE_BIT) !== 0;
    const isRefused = accessible === (isAccessible ? "none" : "only");
    if (isRefused || priceTiers?.has(traits & TIER_MASK) === false) flaws[traits] = NOT_ALLOWED;
    else
      flaws[traits] =
        (traits & RESTRICTED_VIEW_BIT ? FLAW.restrictedView : 0) +
        (isAccessible && accessible === "few" ? FLAW.accessible : 0);
  }
  return flaws;
}
