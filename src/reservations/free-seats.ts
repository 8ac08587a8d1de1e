import type { Section } from "../catalogue/catalogue.ts";

/** Neighbouring ids, both ends included. */
export interface SeatRange {
  first: number;
  last: number;
}

interface Looks {
  current: Promise<void>;
  next: Promise<void> | undefined;
}

/**
 * Asks the database which seats of some sections are free, for requests whose memory knows of none: nobody
 * is told "sold out" by a memory that may be old. However many ask for the same at once, one look is under
 * way; who comes meanwhile needs the next, since the first may have looked before.
 */
export class FreeSeats {
  private readonly looks = new Map<string, Looks>();

  /** @param look reads the free seats of these ranges into memory; rejects when the database cannot be asked. */
  constructor(private readonly look: (ranges: SeatRange[]) => Promise<void>) {}

  /** Resolves when memory has what the database said after this call. */
  refresh(sections: Section[]): Promise<void> {
    const ranges = rangesOf(sections);
    const key = JSON.stringify(ranges);
    const known = this.looks.get(key);
    if (!known) return this.begin(key, ranges);
    known.next ??= known.current.catch(() => undefined).then(() => this.begin(key, ranges));
    return known.next;
  }

  private begin(key: string, ranges: SeatRange[]): Promise<void> {
    const looks: Looks = { current: this.look(ranges), next: undefined };
    this.looks.set(key, looks);
    looks.current = looks.current.finally(() => {
      if (this.looks.get(key) === looks && !looks.next) this.looks.delete(key);
    });
    return looks.current;
  }
}

/** The sections of an event are neighbours: all of them are one range. */
function rangesOf(sections: Section[]): SeatRange[] {
  const ranges: SeatRange[] = [];
  for (const { firstSeatId, seatCount } of sections.toSorted((a, b) => a.firstSeatId - b.firstSeatId)) {
    const last = ranges.at(-1);
    if (last && last.last + 1 === firstSeatId) last.last += seatCount;
    else ranges.push({ first: firstSeatId, last: firstSeatId + seatCount - 1 });
  }
  return ranges;
}
