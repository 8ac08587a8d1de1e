import type { ReservationFacts } from "../postgres/change.ts";
import type { Catalogue } from "../venue/catalogue.ts";
import { formatAmount } from "../venue/money.ts";
import type { WireReservation, WireStatus } from "./contract.ts";

/**
 * Describes a reservation to clients. It uses only facts that never change, so that a replay is identical to
 * the bit.
 */
export function wireReservation(
  facts: ReservationFacts,
  status: WireStatus,
  catalogue: Catalogue,
): WireReservation {
  const currency = catalogue.event(facts.eventId)?.currency ?? "";
  const amountMinor = facts.pricesMinor.reduce((sum, price) => sum + price, 0);
  return {
    reservationId: facts.reservationId,
    status,
    eventId: facts.eventId,
    seats: facts.seatIds.map((seatId, index) =>
      wireSeat(seatId, facts.pricesMinor[index] ?? 0, currency, catalogue),
    ),
    total: { amountMinor, currency },
    ...(status === "HELD" && facts.expiresAtMs !== null
      ? { expiresAt: new Date(facts.expiresAtMs).toISOString() }
      : {}),
  };
}

function wireSeat(seatId: number, priceMinor: number, currency: string, catalogue: Catalogue) {
  const section = catalogue.sectionOf(seatId);
  const place = section?.seating.placeOf(seatId - section.firstSeatId);
  return {
    seatId,
    seatNumber: place?.seatNumber ?? null,
    section: section?.name ?? null,
    row: place?.rowLabel ?? null,
    price: formatAmount(priceMinor, currency),
  };
}
