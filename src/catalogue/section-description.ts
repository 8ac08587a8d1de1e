import { z } from "zod";
import { plainText, plainTextOrNone, visibleForm } from "../http/plain-text.ts";
import type { AreaLayout, AssignedLayout, RowLayout, SectionLayout } from "../venue/layout.ts";

/**
 * Maximum number of seats in all sections of one request. They are written in one transaction, and publishing stalls
 * meanwhile (docs/operations/request-costs.md).
 */
export const SEAT_LIMIT = 1_000_000;

/** A row takes 30 bytes in the section's layout, which every process keeps. */
const ROW_LIMIT = 20_000;
const AREA_LIMIT = 200;
/**
 * Maximum number of seats that the areas of a section cover, overlaps counted each time. Laying them out must not hold
 * up the sale.
 */
const COVERED_LIMIT_SEATS = 3 * SEAT_LIMIT;

const NAME_LIMIT_CHARACTERS = 100;
export const LABEL_LIMIT_CHARACTERS = 20;
/** Far larger than any house, in whatever unit it is measured. */
const COORDINATE_LIMIT = 1_000_000;
const NUMBER_LIMIT = 1_000_000;
const STEP_LIMIT = 100;

/** A focal point is kept in single precision. Postgres refuses a number that this precision cannot tell from 0. */
const coordinate = z
  .number()
  .min(-COORDINATE_LIMIT)
  .max(COORDINATE_LIMIT)
  .overwrite((value) => (Math.fround(value) === 0 ? 0 : value));
const spacing = z.number().positive().max(COORDINATE_LIMIT).default(1);
const seatCount = z.int().min(1).max(SEAT_LIMIT);

export const point = z.strictObject({ x: coordinate, y: coordinate }).meta({ id: "NewPoint" });
export const tierName = plainText(NAME_LIMIT_CHARACTERS);
const sectionName = plainText(NAME_LIMIT_CHARACTERS);
const label = plainText(LABEL_LIMIT_CHARACTERS);

const area = z
  .strictObject({
    rows: z.tuple([label, label], "must be the labels of the first and the last row"),
    seats: z.tuple([seatCount, seatCount], "must be the first and the last seat, counted from 1").optional(),
    priceTier: tierName.optional(),
    accessible: z.boolean().optional(),
    restrictedView: z.boolean().optional(),
  })
  .meta({ id: "NewArea" });

const newRow = z.strictObject({ label, seats: seatCount }).meta({ id: "NewRow" });

const assigned = z.strictObject({
  name: sectionName,
  kind: z.literal("assigned"),
  rows: z.union([z.int().min(1).max(ROW_LIMIT), z.array(newRow).min(1).max(ROW_LIMIT)], {
    error: "must be how many rows there are, or a list of rows with label and seats",
  }),
  seatsPerRow: seatCount.optional(),
  rowLabels: z.enum(["letters", "numbers"]).optional(),
  numbering: z
    .strictObject({
      perRow: z.boolean().default(true),
      start: z.int().min(0).max(NUMBER_LIMIT).default(1),
      step: z.int().min(1).max(STEP_LIMIT).default(1),
      prefix: plainTextOrNone(LABEL_LIMIT_CHARACTERS).default(""),
    })
    .meta({ id: "NewNumbering" })
    .prefault({}),
  priceTier: tierName.optional(),
  areas: z.array(area).max(AREA_LIMIT).default([]),
  position: point.default({ x: 0, y: 0 }).describe("The middle of the first row; without it, x and y are 0."),
  seatSpacing: spacing,
  rowSpacing: spacing,
});

const general = z.strictObject({
  name: sectionName,
  kind: z.literal("general"),
  capacity: seatCount,
  priceTier: tierName.optional(),
});

/** The compact description of a section that an admin sends. */
export const sectionDescription = z.discriminatedUnion("kind", [assigned, general], {
  error: (issue) => (issue.code === "invalid_union" ? 'must be "assigned" or "general"' : undefined),
});

/** The same description with a name for each shape. Code generators cannot handle rows that are a number or a list. */
export const shownSection = z.union([
  assigned
    .extend({ rows: z.int().min(1).max(ROW_LIMIT), seatsPerRow: seatCount })
    .meta({ id: "NewSectionOfEqualRows" }),
  assigned
    .omit({ seatsPerRow: true, rowLabels: true })
    .extend({ rows: z.array(newRow).min(1).max(ROW_LIMIT) })
    .meta({ id: "NewSectionOfListedRows" }),
  general.extend({}).meta({ id: "NewGeneralSection" }),
]);
export type SectionDescription = z.output<typeof sectionDescription>;
type AssignedDescription = z.output<typeof assigned>;

/** A contradiction in a description, and its place. */
export interface Contradiction {
  path: (string | number)[];
  message: string;
}

/** Notes a contradiction. The layout goes on where that does no harm, but its result is not used. */
type Complain = (path: Contradiction["path"], message: string) => void;

/**
 * Lays a section out as its description says. `tierNames` are the event's price tiers, in order.
 * @returns the layout, or all contradictions, with paths that begin inside the section.
 */
export function layoutOf(
  description: SectionDescription,
  tierNames: string[],
): { layout: SectionLayout } | { contradictions: Contradiction[] } {
  const found: Contradiction[] = [];
  const complain: Complain = (path, message) => found.push({ path, message });
  const priceTier = tierOf(description.priceTier, { tierNames, path: ["priceTier"], complain });
  const layout: SectionLayout =
    description.kind === "general"
      ? { kind: "general", capacity: description.capacity, priceTier }
      : assignedLayout(description, { priceTier, tierNames, complain });
  return found.length > 0 ? { contradictions: found } : { layout };
}

function assignedLayout(
  description: AssignedDescription,
  { priceTier, tierNames, complain }: { priceTier: number; tierNames: string[]; complain: Complain },
): AssignedLayout {
  const { numbering, position, seatSpacing, rowSpacing } = description;
  const rows = rowsOf(description, complain);
  const total = rows.reduce((sum, row) => sum + row.seatCount, 0);
  if (total > SEAT_LIMIT) complain(["rows"], `must be at most ${SEAT_LIMIT} seats, these are ${total}`);
  const rowByLabel = new Map(rows.map((row, index) => [row.label, index]));
  let covered = 0;
  const areas = description.areas.map((given, index) => {
    const layout = areaOf(given, { rows, rowByLabel, tierNames, path: ["areas", index], complain });
    for (let row = layout.fromRow; row <= layout.toRow; row++) covered += rows[row]?.seatCount ?? 0;
    return layout;
  });
  if (covered > COVERED_LIMIT_SEATS) {
    complain(["areas"], `must not cover more than ${COVERED_LIMIT_SEATS} seats, overlaps counted each time`);
  }
  return { kind: "assigned", rows, numbering, priceTier, areas, ...position, seatSpacing, rowSpacing };
}

function rowsOf(
  { rows, seatsPerRow, rowLabels = "letters" }: AssignedDescription,
  complain: Complain,
): RowLayout[] {
  if (typeof rows === "number") {
    if (seatsPerRow === undefined) complain(["seatsPerRow"], "is required where rows is a number");
    const labelOf = rowLabels === "letters" ? lettersOf : (row: number) => String(row + 1);
    return Array.from({ length: rows }, (_, row) => ({ label: labelOf(row), seatCount: seatsPerRow ?? 0 }));
  }
  if (seatsPerRow !== undefined) complain(["seatsPerRow"], "is not possible where rows is a list");
  const labels = new Set<string>();
  for (const [row, { label }] of rows.entries()) {
    if (labels.has(visibleForm(label)))
      complain(["rows", row, "label"], "must differ from those of all other rows");
    labels.add(visibleForm(label));
  }
  return rows.map(({ label, seats }) => ({ label, seatCount: seats }));
}

interface AreaSurroundings {
  rows: RowLayout[];
  rowByLabel: Map<string, number>;
  tierNames: string[];
  path: Contradiction["path"];
  complain: Complain;
}

function areaOf(
  { rows: [first, last], seats, priceTier, accessible, restrictedView }: z.output<typeof area>,
  { rows, rowByLabel, tierNames, path, complain }: AreaSurroundings,
): AreaLayout {
  const rowOf = (label: string, end: number) => {
    const row = rowByLabel.get(label);
    if (row === undefined) complain([...path, "rows", end], "must be the label of a row of this section");
    return row;
  };
  const [knownFrom, knownTo] = [rowOf(first, 0), rowOf(last, 1)];
  const [fromRow, toRow] = [knownFrom ?? 0, knownTo ?? knownFrom ?? 0];
  if (fromRow > toRow) complain([...path, "rows"], "must be in the order of the rows");
  const longest = rows.slice(fromRow, toRow + 1).reduce((most, row) => Math.max(most, row.seatCount), 0);
  const [fromSeat, toSeat] = seats ?? [1, longest];
  if (seats && fromSeat > toSeat) complain([...path, "seats"], "must be in the order of the seats");
  // Where the rows are at fault, it is not known how long they are.
  if (knownFrom !== undefined && knownTo !== undefined && longest > 0 && toSeat > longest)
    complain([...path, "seats", 1], `must be at most ${longest}, as the longest of these rows has`);
  return {
    ...{ fromRow, toRow, fromSeat: fromSeat - 1, toSeat: toSeat - 1 },
    ...(priceTier !== undefined && {
      priceTier: tierOf(priceTier, { tierNames, path: [...path, "priceTier"], complain }),
    }),
    ...(accessible !== undefined && { accessible }),
    ...(restrictedView !== undefined && { restrictedView }),
  };
}

/** Finds a tier by its name. If there is only one tier, the name may be left out. */
function tierOf(
  name: string | undefined,
  { tierNames, path, complain }: Pick<AreaSurroundings, "tierNames" | "path" | "complain">,
): number {
  const tier = name === undefined && tierNames.length === 1 ? 0 : tierNames.indexOf(name ?? "");
  if (tier >= 0) return tier;
  complain(
    path,
    name === undefined
      ? "is required where there is more than one price tier"
      : "must be the name of one of the priceTiers",
  );
  return 0;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** Returns the letters of a row: A to Z, then AA, AB and so on. */
function lettersOf(row: number): string {
  const rest = Math.floor(row / ALPHABET.length);
  return (rest > 0 ? lettersOf(rest - 1) : "") + ALPHABET.charAt(row % ALPHABET.length);
}
