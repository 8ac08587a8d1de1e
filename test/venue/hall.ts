import type { SeatSearch } from "../../src/venue/best-available.ts";
import { type AreaLayout, Seating } from "../../src/venue/layout.ts";

export interface Hall {
  rows: number[];
  areas: AreaLayout[];
  x: number;
  y: number;
  seatSpacing: number;
  rowSpacing: number;
}

export const seatingOf = (hall: Hall) =>
  new Seating({
    ...{ kind: "assigned", priceTier: 0, ...hall },
    rows: hall.rows.map((seatCount, row) => ({ label: `${row + 1}`, seatCount })),
    numbering: { perRow: true, start: 1, step: 1, prefix: "" },
  });

/** A section whose rows are drawn, the first one nearest to the stage: `.` is free, `x` taken; ids begin at 1. */
export function drawn(...rows: string[]): Pick<SeatSearch, "sections" | "isFree"> {
  const seating = seatingOf({
    ...{ rows: rows.map((row) => row.length), areas: [], x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
  });
  const seats = rows.join("");
  return { sections: [{ firstSeatId: 1, seating }], isFree: (seatId) => seats[seatId - 1] === "." };
}
