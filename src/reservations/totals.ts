import type { CatalogueEvent } from "../catalogue/catalogue.ts";
import type { SeatId } from "../seats/seat-id.ts";

/** The largest integer that a JSON number carries exactly; a larger total could not be shown. */
const TOTAL_LIMIT_MINOR = Number.MAX_SAFE_INTEGER;

/** Says why an event's seats may be too expensive together, judged by the highest price; undefined for nearly every event. */
export function quantityFault(
  event: CatalogueEvent,
  { field, quantity, tiers }: { field: string; quantity: number; tiers?: string[] | undefined },
): string | undefined {
  let dearest = 0;
  for (const { name, amountMinor } of event.priceTiers)
    if (amountMinor > dearest && (!tiers || tiers.includes(name))) dearest = amountMinor;
  return dearest * quantity > TOTAL_LIMIT_MINOR ? tooDear(field) : undefined;
}

/** Says why these seats are too expensive together; undefined if they are not. */
export function seatsFault(event: CatalogueEvent, seatIds: SeatId[]): string | undefined {
  const field = "seatIds";
  if (quantityFault(event, { field, quantity: seatIds.length }) === undefined) return undefined;
  // Each amount is at most 2^53 - 1. If the sum is not exact, it is beyond the limit anyway.
  const total = seatIds.reduce((sum, seatId) => sum + amountOf(event, seatId), 0);
  return total > TOTAL_LIMIT_MINOR ? tooDear(field) : undefined;
}

function amountOf(event: CatalogueEvent, seatId: SeatId): number {
  const section = event.sections.find(
    ({ firstSeatId, seatCount }) => seatId >= firstSeatId && seatId < firstSeatId + seatCount,
  );
  const place = section?.seating.placeOf(seatId - section.firstSeatId);
  return (place && event.priceTiers[place.priceTier]?.amountMinor) ?? 0;
}

const tooDear = (field: string) =>
  `${field}: the total of these seats would be more than ${TOTAL_LIMIT_MINOR} minor units: take fewer at once.`;
