import type { SeatSearch } from "../../src/venue/best-available.ts";

/** A seat with all there is to say about it, looked up the long way. */
interface SlowSeat {
  id: number;
  section: number;
  row: number;
  place: number;
  x: number;
  isFree: boolean;
  isAllowed: boolean;
  isAccessible: boolean;
  isRestricted: boolean;
  /** Squared, from the focal point. */
  distance: number;
}

/** All seats of all sections, as rows. */
function rowsOf(search: SeatSearch): SlowSeat[][] {
  return search.sections.flatMap(({ firstSeatId, seating }, section) => {
    const { layout } = seating;
    if (layout.kind === "general") return [];
    const focal = search.focal ?? layout;
    return layout.rows.map(({ seatCount }, row) =>
      Array.from({ length: seatCount }, (_, place) => {
        const index = layout.rows.slice(0, row).reduce((sum, before) => sum + before.seatCount, 0) + place;
        const found = seating.placeOf(index);
        const x = found.x ?? Number.NaN;
        return {
          ...{ id: firstSeatId + index, section, row, place, x },
          isFree: search.isFree(firstSeatId + index),
          isAllowed:
            (search.priceTiers?.has(found.priceTier) ?? true) &&
            (search.accessible !== "only" || found.accessible),
          isAccessible: found.accessible,
          isRestricted: found.restrictedView,
          distance: (x - focal.x) ** 2 + ((found.y ?? Number.NaN) - focal.y) ** 2,
        };
      }),
    );
  });
}

/** Every way to take `count` seats side by side. */
const blocksOf = (row: SlowSeat[], count: number) =>
  row
    .map((_, first) => row.slice(first, first + count))
    .filter((block) => block.length === count && block.every((seat) => seat.isFree && seat.isAllowed));

/** Every run of open seats that cannot be made longer. */
const runsOf = (row: SlowSeat[]) =>
  row
    .flatMap((_, less) => blocksOf(row, row.length - less))
    .filter(
      (run, number, longer) =>
        !longer.slice(0, number).some((other) => run.every((seat) => other.includes(seat))),
    );

/** Every way to take all of a short run, and the rest in a neighbouring row at most one seat aside. */
const splitsOf = (rows: SlowSeat[][], count: number, seatSpacing: (section: number) => number) =>
  rows.flatMap((row) =>
    rows
      .filter(
        (other) =>
          row[0]?.section === other[0]?.section && Math.abs((row[0]?.row ?? 0) - (other[0]?.row ?? 0)) === 1,
      )
      .flatMap((other) =>
        runsOf(row)
          .filter((run) => run.length < count)
          .flatMap((run) =>
            blocksOf(other, count - run.length)
              .filter((rest) =>
                run.some((seat) =>
                  rest.some((behind) => Math.abs(seat.x - behind.x) < 1.1 * seatSpacing(seat.section)),
                ),
              )
              .map((rest) => [...run, ...rest]),
          ),
      ),
  );

/** Seats beside the group that are left free and alone. */
const orphansOf = (group: SlowSeat[], rows: SlowSeat[][]) =>
  rows.flatMap((row) =>
    row.filter((seat, at) => {
      const isLeft = (other: SlowSeat | undefined) => other?.isFree === true && !group.includes(other);
      const beside = [row[at - 1], row[at + 1]];
      return isLeft(seat) && !beside.some(isLeft) && beside.some((other) => other && group.includes(other));
    }),
  ).length;

const isAlone = (seat: SlowSeat, group: SlowSeat[]) =>
  group.filter(({ section, row }) => section === seat.section && row === seat.row).length === 1;

/** What speaks against a group that sits together, the worst first, and last its distance. */
const costOf = (group: SlowSeat[], rows: SlowSeat[][], countsAccessible: boolean) => [
  orphansOf(group, rows),
  ...scatteredCostOf(group, countsAccessible).slice(0, 2),
  group.length >= 4 && group.some((seat) => isAlone(seat, group)) ? 1 : 0,
  ...scatteredCostOf(group, countsAccessible).slice(2),
];

const scatteredCostOf = (group: SlowSeat[], countsAccessible: boolean) => [
  countsAccessible ? group.filter(({ isAccessible }) => isAccessible).length : 0,
  group.filter(({ isRestricted }) => isRestricted).length,
  group.reduce((sum, { distance }) => sum + distance, 0),
];

const compare = (one: number[], other: number[]) => {
  const at = one.findIndex((value, place) => value !== other[place]);
  return (one[at] ?? 0) - (other[at] ?? 0);
};

export interface Expected {
  step: "adjacent" | "split" | "one section" | "several sections";
  /** The least there is in that step. */
  cost: number[];
  costOf(seatIds: number[]): number[];
}

/** The step that must answer and what its best costs, by looking at every possible group. */
export function slowSearch(search: SeatSearch): Expected | undefined {
  const rows = rowsOf(search);
  if (search.accessible !== "avoid") return slowAttempt(search, rows, false);
  const withoutAccessible = rows.map((row) =>
    row.map((seat) => ({ ...seat, isAllowed: seat.isAllowed && !seat.isAccessible })),
  );
  return slowAttempt(search, withoutAccessible, false) ?? slowAttempt(search, rows, true);
}

function slowAttempt(
  search: SeatSearch,
  rows: SlowSeat[][],
  countsAccessible: boolean,
): Expected | undefined {
  const { quantity } = search;
  const together = (group: SlowSeat[]) => costOf(group, rows, countsAccessible);
  const scattered = (group: SlowSeat[]) => scatteredCostOf(group, countsAccessible);
  const seats = rows.flat();
  const best = (step: Expected["step"], groups: SlowSeat[][], cost: (group: SlowSeat[]) => number[]) => {
    const [least] = groups.map(cost).toSorted(compare);
    const ofIds = (seatIds: number[]) => cost(seats.filter(({ id }) => seatIds.includes(id)));
    return least && { step, cost: least, costOf: ofIds };
  };
  const adjacent = best(
    "adjacent",
    rows.flatMap((row) => blocksOf(row, quantity)),
    together,
  );
  if (adjacent || search.adjacency === "required") return adjacent;
  const open = seats
    .filter((seat) => seat.isFree && seat.isAllowed)
    .toSorted((a, b) => compare(scattered([a]), scattered([b])));
  const bySection = [...Map.groupBy(open, ({ section }) => section).values()];
  const enough = (group: SlowSeat[]) => group.length === quantity;
  return (
    best("split", splitsOf(rows, quantity, spacingOf(search)), together) ??
    best("one section", bySection.map((section) => section.slice(0, quantity)).filter(enough), scattered) ??
    best("several sections", [open.slice(0, quantity)].filter(enough), scattered)
  );
}

const spacingOf = (search: SeatSearch) => (section: number) => {
  const layout = search.sections[section]?.seating.layout;
  return layout?.kind === "assigned" ? layout.seatSpacing : 0;
};
