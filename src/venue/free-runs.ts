import { NearestSeats } from "./nearest-seats.ts";
import { ROW_STEPS, type SectionSearch } from "./section-search.ts";

/** The cost of comparing one seat with the nearest seats so far, in looks at a seat. */
const NEAREST_STEPS = 4;

/**
 * Buffers for the runs, shared by all searches so that nothing is allocated per seat. They grow to the
 * longest section.
 */
let starts = new Uint32Array(0);
let ends = new Uint32Array(0);

/**
 * The runs of adjacent open seats in a section, numbered row after row. A thread makes one search at a time,
 * so each new instance overwrites the runs of the one before.
 */
export class FreeRuns {
  /** The number of each row's first run, followed by the total count. */
  private readonly rowFirst: Uint32Array;
  private readonly longest: Uint32Array;

  constructor(private readonly search: SectionSearch) {
    const { rowCount, seatCount } = search.seating;
    this.rowFirst = new Uint32Array(rowCount + 1);
    this.longest = new Uint32Array(rowCount);
    if (starts.length < seatCount) {
      starts = new Uint32Array(seatCount);
      ends = new Uint32Array(seatCount);
    }
    let count = 0;
    for (let row = 0; row < rowCount; row++) {
      if (
        search.budget.take(ROW_STEPS) &&
        search.mayHaveFreeIn(row) &&
        search.budget.take(search.lengthOf(row))
      )
        count = this.collect(row, count);
      this.rowFirst[row + 1] = count;
    }
  }

  firstOf(row: number): number {
    return this.rowFirst[row] ?? 0;
  }

  /** Returns the length of the longest run in a row. */
  longestOf(row: number): number {
    return this.longest[row] ?? 0;
  }

  /** Returns the index of the first seat of a run. */
  startOf(run: number): number {
    return starts[run] ?? 0;
  }

  /** Returns the index after the last seat of a run. */
  endOf(run: number): number {
    return ends[run] ?? 0;
  }

  lengthOf(run: number): number {
    return this.endOf(run) - this.startOf(run);
  }

  /** Finds the best single seats of the section, adjacent or not. */
  findNearest(): NearestSeats {
    const { search } = this;
    const nearest = new NearestSeats(search.quantity);
    for (const row of search.rows) {
      if (nearest.outdoes(search.depthOf(row))) break;
      if (!search.budget.take(NEAREST_STEPS * this.openIn(row))) break;
      for (let run = this.firstOf(row); run < this.firstOf(row + 1); run++)
        for (let index = this.startOf(run); index < this.endOf(run); index++)
          nearest.offer(search.firstSeatId + index, search.flawsAt(index), search.seatDistanceOf(row, index));
    }
    return nearest;
  }

  /** Counts the open seats of a row. */
  private openIn(row: number): number {
    let count = 0;
    for (let run = this.firstOf(row); run < this.firstOf(row + 1); run++) count += this.lengthOf(run);
    return count;
  }

  private collect(row: number, count: number): number {
    const { search } = this;
    const rowEnd = search.seating.startOf(row + 1);
    let longest = 0;
    for (let index = search.seating.startOf(row); index < rowEnd; index++) {
      if (!search.isOpen(index)) continue;
      starts[count] = index;
      while (index < rowEnd && search.isOpen(index)) index++;
      ends[count] = index;
      longest = Math.max(longest, this.lengthOf(count));
      count++;
    }
    this.longest[row] = longest;
    return count;
  }
}
