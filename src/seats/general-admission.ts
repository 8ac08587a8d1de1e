/** A section of general admission: its seat ids follow each other. */
export interface GeneralSection {
  firstSeatId: number;
  seatCount: number;
}

/**
 * The next free places of a section after a cursor, wrapping round, so that buyers who come at the same
 * moment are given different ones instead of fighting for the first.
 *
 * @param from position in the section, from 0, to look at first; the next search goes on behind the last place given
 * @returns seat ids in the order found, or undefined when fewer than `quantity` are known to be free
 */
export function nextFree(
  section: GeneralSection,
  quantity: number,
  from: number,
  isFree: (seatId: number) => boolean,
): number[] | undefined {
  const { firstSeatId, seatCount } = section;
  const found: number[] = [];
  let place = seatCount > 0 ? from % seatCount : 0;
  for (let looked = 0; looked < seatCount && found.length < quantity; looked++) {
    if (isFree(firstSeatId + place)) found.push(firstSeatId + place);
    place = place + 1 === seatCount ? 0 : place + 1;
  }
  return found.length === quantity ? found : undefined;
}
