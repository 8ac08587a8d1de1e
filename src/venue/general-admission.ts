import type { SearchBudget } from "./search-budget.ts";

/** A section of general admission: its seat ids follow each other. */
export interface GeneralSection {
  firstSeatId: number;
  seatCount: number;
}

/** How many places are looked at between two checks of the budget. */
const STRIDE_PLACES = 1024;

/**
 * The next free places of a section after a cursor, wrapping round, so that buyers who come at the same
 * moment are given different ones instead of fighting for the first.
 *
 * @param from position in the section, from 0, to look at first; the next search goes on behind the last place given
 * @param budget when it is spent, the search ends without a result
 * @returns seat ids in the order found, or undefined when fewer than `quantity` are known to be free
 */
export function nextFree(
  section: GeneralSection,
  quantity: number,
  from: number,
  isFree: (seatId: number) => boolean,
  budget?: SearchBudget,
): number[] | undefined {
  const { firstSeatId, seatCount } = section;
  const found: number[] = [];
  let place = seatCount > 0 ? from % seatCount : 0;
  for (let looked = 0; looked < seatCount && found.length < quantity; looked++) {
    if (budget && looked % STRIDE_PLACES === 0 && !budget.take(Math.min(STRIDE_PLACES, seatCount - looked)))
      return undefined;
    if (isFree(firstSeatId + place)) found.push(firstSeatId + place);
    place = place + 1 === seatCount ? 0 : place + 1;
  }
  return found.length === quantity ? found : undefined;
}
