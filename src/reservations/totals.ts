import type { CatalogueEvent } from "../venue/catalogue.ts";
import type { SeatId } from "../venue/seat-id.ts";

/** The largest integer that a JSON number carries exactly. A larger total could not be shown. */
const TOTAL_LIMIT_MINOR = Number.MAX_SAFE_INTEGER;

/**
 * Whether `quantity` seats of the event could cost more than a total can show, if each had the highest price. False for
 * nearly every event.
 * @param tiers the names of the price tiers that the seats are from; undefined for all
 */
export function mayBeTooDear(event: CatalogueEvent, quantity: number, tiers?: readonly string[]): boolean {
  let dearest = 0;
  for (const { name, amountMinor } of event.priceTiers)
    if (amountMinor > dearest && (!tiers || tiers.includes(name))) dearest = amountMinor;
  return dearest * quantity > TOTAL_LIMIT_MINOR;
}

/**
 * Returns the fault if even the cheapest choice of `quantity` seats from these sections and price tiers costs too much.
 * Otherwise undefined. `field` is the field that asks for them.
 */
export function quantityFault(
  event: CatalogueEvent,
  {
    field,
    quantity,
    sections,
    tiers,
  }: { field: string; quantity: number; sections: string[] | undefined; tiers: string[] | undefined },
): string | undefined {
  const found = event.sections.flatMap(({ name, layout }) => {
    if (sections && !sections.includes(name)) return [];
    const areas = layout.kind === "assigned" ? layout.areas : [];
    return [layout.priceTier, ...areas.map(({ priceTier }) => priceTier ?? layout.priceTier)];
  });
  const possible = found.flatMap((tier) => event.priceTiers[tier] ?? []);
  const amounts = possible.flatMap(({ name, amountMinor }) =>
    tiers && !tiers.includes(name) ? [] : amountMinor,
  );
  const cheapest = amounts.reduce((least, amount) => Math.min(least, amount), Number.POSITIVE_INFINITY);
  return amounts.length > 0 && cheapest * quantity > TOTAL_LIMIT_MINOR ? tooDear(field) : undefined;
}

/**
 * Returns why these seats are too expensive together, or undefined if they are not. `field` is the field that asks for
 * them.
 */
export function seatsFault(event: CatalogueEvent, seatIds: SeatId[], field: string): string | undefined {
  if (!mayBeTooDear(event, seatIds.length)) return undefined;
  // Each amount is at most 2^53 - 1. If the sum is not exact, it is above the limit anyway.
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
