import { describe, expect, test } from "bun:test";
import { mayBeTooDear, quantityFault, seatsFault } from "../../src/reservations/totals.ts";
import type { CatalogueEvent } from "../../src/venue/catalogue.ts";
import { openCatalogue } from "./house.ts";
import { seat } from "./worker.ts";

const MAX = Number.MAX_SAFE_INTEGER;

/** Stalls (seats 1 to 8) are Gold; Circle (11 to 14) and Floor (21 to 26) are Silver. */
function eventOf(goldMinor: number, silverMinor: number): CatalogueEvent {
  const event = openCatalogue({
    priceTiers: [
      { name: "Gold", amountMinor: goldMinor },
      { name: "Silver", amountMinor: silverMinor },
    ],
  }).event(1);
  if (!event) throw new Error("the house has no event 1");
  return event;
}

const faultOf = (
  event: CatalogueEvent,
  quantity: number,
  { sections, tiers }: { sections?: string[]; tiers?: string[] } = {},
) => quantityFault(event, { field: "quantity", quantity, sections, tiers });

const TOO_DEAR = `quantity: the total of these seats would be more than ${MAX} minor units: take fewer at once.`;

test("a total of exactly the largest exact integer is allowed; one minor unit more is not", () => {
  const half = (MAX - 1) / 2;
  const event = eventOf(half + 1, half);
  expect(seatsFault(event, [1, 11].map(seat), "quantity")).toBeUndefined();
  expect(seatsFault(event, [1, 2].map(seat), "quantity")).toBe(TOO_DEAR);
  expect(faultOf(eventOf(MAX, MAX), 1)).toBeUndefined();
  expect(faultOf(eventOf(half + 1, half + 1), 2)).toBe(TOO_DEAR);
});

describe("a number of seats", () => {
  const event = eventOf(MAX, 1);

  test.each([
    [{}, undefined],
    [{ sections: ["Stalls"] }, TOO_DEAR],
    [{ sections: ["Stalls", "Circle"] }, undefined],
    [{ tiers: ["Gold"] }, TOO_DEAR],
    [{ tiers: ["Silver"] }, undefined],
    // No such seat exists, which is another answer's matter.
    [{ sections: ["Stalls"], tiers: ["Silver"] }, undefined],
  ])("is too dear where even its cheapest seats are: %j", (choice, fault) => {
    expect(faultOf(event, 2, choice)).toBe(fault as string);
  });

  test("may be too dear only if the dearest of its price tiers is", () => {
    expect([mayBeTooDear(event, 1), mayBeTooDear(event, 2)]).toEqual([false, true]);
    expect([mayBeTooDear(event, 2, ["Silver"]), mayBeTooDear(event, 2, ["Silver", "Gold"])]).toEqual([
      false,
      true,
    ]);
  });
});

test("each seat costs what the price tier of its own section says, up to the section's last seat", () => {
  const event = eventOf(MAX, 1);
  for (const ids of [
    [11, 14],
    [21, 26],
  ])
    expect(seatsFault(event, ids.map(seat), "quantity")).toBeUndefined();
  for (const ids of [
    [8, 11],
    [1, 26],
  ])
    expect(seatsFault(event, ids.map(seat), "quantity")).toBe(TOO_DEAR);
});
