/** 4 bytes a seat: 2 bits status, 1 bit final, the rest version. */
const STATUS_MASK = 0b11;
const FINAL_BIT = 0b100;
const VERSION_SHIFT = 3;
/** Seats that have changed more often than fits are not remembered. */
export const VERSION_LIMIT = 2 ** 28;

/** Seats of a page have neighbouring ids; a page is 16 KiB. */
const PAGE_BITS = 12;
const PAGE_SEATS = 1 << PAGE_BITS;

/** 16.8 million seats in 64 MiB; seats beyond are not remembered, only a little slower. */
const PAGE_LIMIT = 4096;

export type SeatStatus = "available" | "held" | "reserved";

/** 0 is an unknown seat. */
const CODES: Record<SeatStatus, number> = { available: 1, held: 2, reserved: 3 };
const STATUSES: (SeatStatus | undefined)[] = [undefined, "available", "held", "reserved"];
const RESERVED_FOR_GOOD = CODES.reserved | FINAL_BIT;

/**
 * What this process knows of seats: never more than a cache. Only `isGone` answers by itself, since a
 * seat that is reserved for good never becomes free again; a version is a hint that the database checks.
 */
export class SeatMemory {
  private readonly pages = new Map<number, Uint32Array>();
  private known = 0;
  private changed = 0;
  /** How many seats of each page are free: a search passes over what is sold out. */
  private readonly freeInPage = new Map<number, number>();
  /** How many seats of each page are remembered. */
  private readonly knownInPage = new Map<number, number>();
  private lastNumber = -1;
  private lastPage: Uint32Array | undefined;

  /** How many seats are remembered. */
  get size(): number {
    return this.known;
  }

  /** Counts what was learned anew: where it stands still, nothing that is remembered has changed. */
  get changes(): number {
    return this.changed;
  }

  /** Takes in what the database said, unless something newer is known. */
  learn(seatId: number, version: number, status: SeatStatus, final: boolean): void {
    if (version >= VERSION_LIMIT) return;
    this.learnWord(seatId, (version << VERSION_SHIFT) | (final ? FINAL_BIT : 0) | CODES[status]);
  }

  /** As `learn`, packed: the version times 8, plus 4 when final, plus 1 available, 2 held or 3 reserved. */
  learnWord(seatId: number, word: number): void {
    const number = Math.floor(seatId / PAGE_SEATS);
    let page = this.pages.get(number);
    if (!page) {
      if (this.pages.size >= PAGE_LIMIT) return;
      page = new Uint32Array(PAGE_SEATS);
      this.pages.set(number, page);
      this.lastNumber = -1;
    }
    const place = seatId % PAGE_SEATS;
    const known = page[place] ?? 0;
    if (known >>> VERSION_SHIFT > word >>> VERSION_SHIFT) return;
    this.replace(seatId, word);
  }

  /** The database is asked again: for a seat of which something wrong is remembered. */
  forget(seatId: number): void {
    this.replace(seatId, 0);
  }

  /** @param word 0 is a seat that is not known. */
  private replace(seatId: number, word: number): void {
    const number = Math.floor(seatId / PAGE_SEATS);
    const page = this.pages.get(number);
    const place = seatId % PAGE_SEATS;
    const known = page?.[place] ?? 0;
    if (!page || known === word) return;
    const added = Number(word !== 0) - Number(known !== 0);
    if (added !== 0) {
      this.known += added;
      this.knownInPage.set(number, (this.knownInPage.get(number) ?? 0) + added);
    }
    this.changed++;
    page[place] = word;
    const more =
      Number((word & STATUS_MASK) === CODES.available) - Number((known & STATUS_MASK) === CODES.available);
    if (more !== 0) this.freeInPage.set(number, (this.freeInPage.get(number) ?? 0) + more);
  }

  /** Forgets everything. */
  clear(): void {
    this.pages.clear();
    this.freeInPage.clear();
    this.knownInPage.clear();
    this.lastNumber = -1;
    this.known = 0;
    this.changed++;
  }

  /** Whether the seat is reserved and can never become free again. */
  isGone(seatId: number): boolean {
    return (this.wordOf(seatId) & (STATUS_MASK | FINAL_BIT)) === RESERVED_FOR_GOOD;
  }

  /** What the seat was when it was last heard of; undefined for a seat that is not known. */
  statusOf(seatId: number): SeatStatus | undefined {
    return STATUSES[this.wordOf(seatId) & STATUS_MASK];
  }

  /** Whether the seat was free when it was last heard of. */
  isAvailable(seatId: number): boolean {
    return (this.wordOf(seatId) & STATUS_MASK) === CODES.available;
  }

  /** Whether any of these neighbours may be free; false is sure, and costs one look for 4,096 seats. */
  mayHaveAvailable(firstSeatId: number, seatCount: number): boolean {
    const last = Math.floor((firstSeatId + seatCount - 1) / PAGE_SEATS);
    for (let number = Math.floor(firstSeatId / PAGE_SEATS); number <= last; number++) {
      if ((this.freeInPage.get(number) ?? 0) > 0) return true;
    }
    return false;
  }

  /** Whether all of these seats, whose ids follow each other, are remembered. */
  knowsAll(firstSeatId: number, seatCount: number): boolean {
    const end = firstSeatId + seatCount;
    for (let seatId = firstSeatId; seatId < end; ) {
      const number = Math.floor(seatId / PAGE_SEATS);
      const next = Math.min(end, (number + 1) * PAGE_SEATS);
      if (this.knownInPage.get(number) !== PAGE_SEATS)
        for (; seatId < next; seatId++) if (this.wordOf(seatId) === 0) return false;
      seatId = next;
    }
    return true;
  }

  /** The newest version known; -1, which no seat has, for a seat that is not. */
  versionOf(seatId: number): number {
    const word = this.wordOf(seatId);
    return word === 0 ? -1 : word >>> VERSION_SHIFT;
  }

  /**
   * Writes 2 bits a seat into zeroed bytes: 0 unknown, 1 available, 2 held, 3 reserved; of each byte the lowest
   * bits first.
   */
  packStatuses(firstSeatId: number, seatCount: number, target: Uint8Array): void {
    for (let index = 0; index < seatCount; ) {
      const page = this.pages.get(Math.floor((firstSeatId + index) / PAGE_SEATS));
      const place = (firstSeatId + index) % PAGE_SEATS;
      const end = Math.min(seatCount, index + PAGE_SEATS - place);
      for (let shift = place - index; page && index < end; index++) {
        target[index >> 2] =
          (target[index >> 2] ?? 0) | (((page[index + shift] ?? 0) & STATUS_MASK) << ((index & 3) * 2));
      }
      index = end;
    }
  }

  /** Searches ask for one neighbour after the other: the page of the last answer is mostly that of the next. */
  private wordOf(seatId: number): number {
    const number = Math.floor(seatId / PAGE_SEATS);
    if (number !== this.lastNumber) {
      this.lastNumber = number;
      this.lastPage = this.pages.get(number);
    }
    return this.lastPage?.[seatId % PAGE_SEATS] ?? 0;
  }
}
