import type { SeatView } from "../postgres/seat-views.ts";
import type { CatalogueEvent, EventFacts, Section } from "../venue/catalogue.ts";
import { formatAmount } from "../venue/money.ts";
import type { WireEvent, WireEventSummary, WireSeat, WireSection } from "./contract.ts";
import type { Availability } from "./seat-map.ts";

/** The catalogue's events, sections and seats as JSON shows them. */

const timeOf = (timeMs: number | null) => (timeMs === null ? null : new Date(timeMs).toISOString());

const NOTHING_KNOWN: Availability = { unknown: 0, available: 0, held: 0, reserved: 0 };

/** Describes an event in a list. */
export function eventSummary(event: EventFacts): WireEventSummary {
  return {
    eventId: event.id,
    name: event.name,
    currency: event.currency,
    status: event.status,
    ...(event.status === "closed" && event.stopsExtensions && { stopExtensions: true as const }),
    ...(event.status === "closed" && event.stopsConfirmations && { stopConfirmations: true as const }),
    onSaleAt: timeOf(event.onSaleAtMs),
    offSaleAt: timeOf(event.offSaleAtMs),
    cancellable: event.cancellable,
    holdTtlSeconds: event.holdTtlSeconds,
    holdLimitSeconds: event.holdLimitSeconds,
    reservationLimitSeats: event.reservationLimitSeats,
    buyerLimitSeats: event.buyerLimitSeats,
    focalPoint: event.focalX === null || event.focalY === null ? null : { x: event.focalX, y: event.focalY },
    priceTiers: event.priceTiers.map(({ name, amountMinor }) => ({
      name,
      price: formatAmount(amountMinor, event.currency),
      amountMinor,
    })),
    createdAt: new Date(event.createdAtMs).toISOString(),
  };
}

/** Describes an event. `availability` has an entry for each section, in the order of the sections. */
export function eventView(event: CatalogueEvent, availability: Availability[]): WireEvent {
  return {
    ...eventSummary(event),
    seatCount: event.sections.reduce((sum, { seatCount }) => sum + seatCount, 0),
    sections: event.sections.map((section, index) => ({
      ...sectionSummary(section, event),
      availability: availability[index] ?? NOTHING_KNOWN,
    })),
  };
}

function sectionSummary({ id, name, firstSeatId, seatCount, layout }: Section, event: CatalogueEvent) {
  return {
    sectionId: id,
    name,
    kind: layout.kind,
    firstSeatId,
    seatCount,
    priceTier: event.priceTiers[layout.priceTier]?.name ?? null,
  };
}

/** Describes a section with its rows, from which clients can derive every seat. */
export function sectionView(section: Section, event: CatalogueEvent): WireSection {
  const { layout, firstSeatId, seating } = section;
  const summary = sectionSummary(section, event);
  if (layout.kind === "general") return summary;
  const { numbering, x, y, seatSpacing, rowSpacing } = layout;
  return {
    ...summary,
    numbering,
    position: { x, y },
    seatSpacing,
    rowSpacing,
    rows: layout.rows.map(({ label, seatCount }, row) => ({
      label,
      firstSeatId: firstSeatId + (seating.rowStarts[row] ?? 0),
      seatCount,
    })),
  };
}

/** Describes a seat, with its event and section if they are known. */
export function seatView(seat: SeatView, event: CatalogueEvent | undefined): WireSeat {
  const { priceMinor, priceTier, row, seatId, ...same } = seat;
  const section = event?.sections.find(
    ({ firstSeatId, seatCount }) => seatId >= firstSeatId && seatId < firstSeatId + seatCount,
  );
  const place = section?.seating.placeOf(seatId - section.firstSeatId);
  return {
    ...{ seatId, eventId: same.eventId, section: section?.name ?? null, row, seatNumber: same.seatNumber },
    ...{ status: same.status, version: same.version },
    price: event ? formatAmount(priceMinor, event.currency) : null,
    currency: event?.currency ?? null,
    priceTier: event?.priceTiers[priceTier]?.name ?? null,
    ...{ accessible: same.accessible, restrictedView: same.restrictedView },
    ...{ x: place?.x ?? null, y: place?.y ?? null },
  };
}
