import type { Seating } from "./layout.ts";
import type { SearchBudget } from "./search-budget.ts";
import { FLAW, NOT_ALLOWED, type SearchedSection, type SeatWish } from "./seat-wish.ts";

/** The cost of passing a row, in looks at a seat. A house may have as many rows as seats. */
export const ROW_STEPS = 2;

/** A section of numbered seats as one search sees it: which seats are allowed, their flaws and their distances. */
export class SectionSearch {
  readonly seating: Seating;
  readonly firstSeatId: number;
  readonly quantity: number;
  readonly seatSpacing: number;
  /** Row numbers, starting at the row nearest to the focal point and moving outwards. */
  readonly rows: Uint32Array;
  private readonly flawsByTraits: Int32Array;
  readonly isFree: (seatId: number) => boolean;
  readonly budget: SearchBudget;
  private readonly mayHaveFree: (firstSeatId: number, seatCount: number) => boolean;
  private readonly focal: { x: number; y: number };
  /** The x coordinate that the rows are centred on. */
  private readonly middleX: number;

  constructor(section: SearchedSection, wish: SeatWish, focal: { x: number; y: number } | undefined) {
    const { layout } = section.seating;
    const { x, y, seatSpacing } = layout.kind === "general" ? { x: 0, y: 0, seatSpacing: 0 } : layout;
    this.seating = section.seating;
    this.firstSeatId = section.firstSeatId;
    this.quantity = wish.quantity;
    this.seatSpacing = seatSpacing;
    this.flawsByTraits = wish.flawsByTraits;
    this.isFree = wish.isFree;
    this.mayHaveFree = wish.mayHaveFree;
    this.budget = wish.budget;
    this.focal = focal ?? { x, y };
    this.middleX = x;
    this.rows = this.rowsOutwards();
  }

  lengthOf(row: number): number {
    return this.seating.startOf(row + 1) - this.seating.startOf(row);
  }

  /** Returns whether a row may have a free seat; false is certain. */
  mayHaveFreeIn(row: number): boolean {
    return this.mayHaveFree(this.firstSeatId + this.seating.startOf(row), this.lengthOf(row));
  }

  /** Returns whether a seat is free and allowed. */
  isOpen(index: number): boolean {
    return this.isFree(this.firstSeatId + index) && this.flawsAt(index) !== NOT_ALLOWED;
  }

  flawsAt(index: number): number {
    return this.flawsByTraits[this.seating.traitsOf(index)] ?? NOT_ALLOWED;
  }

  /** Returns the flaws of adjacent seats, without orphans. */
  flawsOf(first: number, count: number): number {
    let flaws = 0;
    for (let index = first; index < first + count; index++) flaws += this.flawsAt(index);
    return flaws;
  }

  /** Returns the flaws of the orphans that adjacent seats leave on their left and right. */
  orphanFlawsOf(row: number, first: number, count: number): number {
    const isLeft = this.freeBeyond(first, -1, row) === 1;
    const isRight = this.freeBeyond(first + count - 1, 1, row) === 1;
    return FLAW.orphan * (Number(isLeft) + Number(isRight));
  }

  /** Counts the consecutive free seats beyond this one in its row, up to 2, even if the buyer may not have them. */
  freeBeyond(index: number, step: 1 | -1, row: number): number {
    const start = this.seating.startOf(row);
    const end = this.seating.startOf(row + 1);
    let count = 0;
    for (let next = index + step; count < 2 && next >= start && next < end; next += step, count++)
      if (!this.isFree(this.firstSeatId + next)) break;
    return count;
  }

  /** Returns the sum of the squared distances of adjacent seats, centred on `x`, from the focal point. */
  distanceOf(row: number, x: number, count: number): number {
    const spread = (this.seatSpacing ** 2 * (count * count - 1)) / 12;
    return count * (this.depthOf(row) + (x - this.focal.x) ** 2 + spread);
  }

  /**
   * Returns a lower bound for the distance of any block in this row. `isInRow` gives a tighter one: blocks
   * end with the row.
   */
  leastDistanceOf(row: number, isInRow: boolean): number {
    if (!isInRow) return this.distanceOf(row, this.focal.x, this.quantity);
    const seatCount = this.seating.startOf(row + 1) - this.seating.startOf(row);
    const reach = Math.abs(((seatCount - this.quantity) / 2) * this.seatSpacing);
    const aside = Math.max(0, Math.abs(this.focal.x - this.middleX) - reach);
    return this.distanceOf(row, this.focal.x + aside, this.quantity);
  }

  /**
   * Returns the part of a row with all blocks that are nearer to the focal point than this. It may have a block more on
   * each side.
   */
  stretchWithin(row: number, distance: number): { start: number; end: number } {
    const { quantity, seatSpacing, seating } = this;
    const rowStart = seating.startOf(row);
    const rowEnd = seating.startOf(row + 1);
    if (distance === Number.POSITIVE_INFINITY || seatSpacing === 0) return { start: rowStart, end: rowEnd };
    const reach =
      Math.sqrt(Math.max(0, (distance - this.distanceOf(row, this.focal.x, quantity)) / quantity)) /
      seatSpacing;
    // Seats that all stand in one point.
    if (reach === Number.POSITIVE_INFINITY) return { start: rowStart, end: rowEnd };
    const nearest = (this.focal.x - this.middleOf(row, rowStart, quantity)) / seatSpacing;
    const start = Math.floor(nearest - reach);
    const last = Math.ceil(nearest + reach);
    return {
      start: Math.max(rowStart, rowStart + start),
      end: Math.min(rowEnd, rowStart + last + quantity),
    };
  }

  middleOf(row: number, first: number, count: number): number {
    return this.seating.xOf(first, row) + ((count - 1) / 2) * this.seatSpacing;
  }

  /** Returns the squared distance of a row from the focal point. */
  depthOf(row: number): number {
    return (this.seating.yOf(row) - this.focal.y) ** 2;
  }

  seatDistanceOf(row: number, index: number): number {
    return this.depthOf(row) + (this.seating.xOf(index, row) - this.focal.x) ** 2;
  }

  private rowsOutwards(): Uint32Array {
    const { rowCount } = this.seating;
    const rows = new Uint32Array(rowCount);
    let after = this.nearestRow();
    let before = after - 1;
    for (let place = 0; place < rowCount; place++) {
      const goesAfter = after < rowCount && (before < 0 || this.depthOf(after) <= this.depthOf(before));
      rows[place] = goesAfter ? after++ : before--;
    }
    return rows;
  }

  private nearestRow(): number {
    const { layout, rowCount } = this.seating;
    if (layout.kind === "general" || layout.rowSpacing === 0) return 0;
    const row = Math.round((this.focal.y - layout.y) / layout.rowSpacing);
    return Math.min(Math.max(row, 0), rowCount - 1);
  }
}
