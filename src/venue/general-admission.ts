import type { SearchBudget } from "./search-budget.ts";

/** A general admission section. Its seat ids are consecutive. */
export interface GeneralSection {
  firstSeatId: number;
  seatCount: number;
}

/** Places looked at between two checks of the budget. */
const STRIDE_PLACES = 1024;

/**
 * Finds the next free places of a section after a cursor, wrapping around. Simultaneous buyers are given
 * different places this way, instead of competing for the first.
 *
 * @param from position in the section, from 0, to look at first; the next search continues after the last
 * place given
 * @param budget the search ends without a result when the budget is spent
 * @returns seat ids in the order found, or undefined if fewer than `quantity` are known to be free
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
