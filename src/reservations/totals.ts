import type { CatalogueEvent } from "../catalogue/catalogue.ts";
import type { SeatId } from "../seats/seat-id.ts";

/** Beyond it a JSON number is not exact, so a total beyond it could not be told. */
const TOTAL_LIMIT_MINOR = Number.MAX_SAFE_INTEGER;

/** What is against so many seats of an event together, in words; nearly every event has nothing. */
export function quantityFault(
  event: CatalogueEvent,
  { field, quantity, tiers }: { field: string; quantity: number; tiers?: string[] | undefined },
): string | undefined {
  let dearest = 0;
  for (const { name, amountMinor } of event.priceTiers)
    if (amountMinor > dearest && (!tiers || tiers.includes(name))) dearest = amountMinor;
  return dearest * quantity > TOTAL_LIMIT_MINOR ? tooDear(field) : undefined;
}

/** What is against these seats together, in words. */
export function seatsFault(event: CatalogueEvent, seatIds: SeatId[]): string | undefined {
  const field = "seatIds";
  if (quantityFault(event, { field, quantity: seatIds.length }) === undefined) return undefined;
  // Each is at most 2^53 - 1, so that the sum is off by little where it is not exact: beyond the limit in any case.
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
