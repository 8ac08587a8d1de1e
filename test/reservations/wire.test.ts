import { expect, test } from "bun:test";
import type { ReservationFacts } from "../../src/postgres/change.ts";
import type { WireStatus } from "../../src/reservations/contract.ts";
import { wireReservation } from "../../src/reservations/wire.ts";
import { openCatalogue } from "./house.ts";

const facts: ReservationFacts = {
  reservationId: "019a9d0e-8a53-7000-a1b2-c3d4e5f60718",
  eventId: 1,
  seatIds: [6, 22],
  pricesMinor: [15_000, 905],
  expiresAtMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
};

const wire = (status: WireStatus, more: Partial<ReservationFacts> = {}, catalogue = openCatalogue()) =>
  JSON.stringify(wireReservation({ ...facts, ...more }, status, catalogue));

test("a held reservation tells its seats in the order of the request, the total and the end of the hold", () => {
  expect(JSON.parse(wire("HELD"))).toEqual({
    ...{ reservationId: facts.reservationId, status: "HELD", eventId: 1 },
    seats: [
      { seatId: 6, seatNumber: "2", section: "Stalls", row: "B", price: "150.00" },
      { seatId: 22, seatNumber: null, section: "Floor", row: null, price: "9.05" },
    ],
    total: { amountMinor: 15_905, currency: "EUR" },
    expiresAt: "2026-01-02T03:04:05.678Z",
  });
});

test("the same facts are the same text to the bit, in every process and after every change of prices", () => {
  const dearer = openCatalogue({ priceTiers: [{ name: "Gold", amountMinor: 99_000 }], name: "renamed" });
  expect(wire("HELD", {}, dearer)).toBe(wire("HELD"));
  expect(wire("HELD", structuredClone(facts))).toBe(wire("HELD"));
});

test("prices are those of the reservation, in the units of its currency", () => {
  const inYen = JSON.parse(wire("HELD", {}, openCatalogue({ currency: "JPY" })));
  expect(inYen.seats.map(({ price }: { price: string }) => price)).toEqual(["15000", "905"]);
  expect(inYen.total).toEqual({ amountMinor: 15_905, currency: "JPY" });
});

test.each(["CONFIRMED", "RELEASED", "EXPIRED", "CANCELLED"] as const)(
  "a reservation that is %s ends at no time",
  (status) => {
    expect(JSON.parse(wire(status))).not.toHaveProperty("expiresAt");
  },
);

test("what was never held ends at no time", () => {
  expect(JSON.parse(wire("HELD", { expiresAtMs: null }))).not.toHaveProperty("expiresAt");
});

test("a seat without a place in the catalogue is told by its id and price", () => {
  const { seats } = JSON.parse(wire("CONFIRMED", { seatIds: [9999], pricesMinor: [100] }));
  expect(seats).toEqual([{ seatId: 9999, seatNumber: null, section: null, row: null, price: "1.00" }]);
});
