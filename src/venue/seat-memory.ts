/** Layout of a seat's 4 bytes: 2 bits status, 1 bit final, the rest version. */
const STATUS_MASK = 0b11;
const FINAL_BIT = 0b100;
const VERSION_SHIFT = 3;
/** Seats with higher versions are not remembered, because the version no longer fits. */
export const VERSION_LIMIT = 2 ** 28;

/** A page holds 4,096 seats with neighbouring ids in 16 KiB. */
const PAGE_BITS = 12;
const PAGE_SEATS = 1 << PAGE_BITS;
/** The free seats of a page are counted in blocks, so that a search skips rows that are sold out. */
const BLOCK_SEATS = 64;

/** Limits the memory to 16.8 million seats in 64 MiB. Further seats are not remembered and sell a little slower. */
const PAGE_LIMIT = 4096;

export type SeatStatus = "available" | "held" | "reserved";

/** 0 means unknown. */
const CODES: Record<SeatStatus, number> = { available: 1, held: 2, reserved: 3 };
const STATUSES: (SeatStatus | undefined)[] = [undefined, "available", "held", "reserved"];
const RESERVED_FOR_GOOD = CODES.reserved | FINAL_BIT;

interface Page {
  /** The packed state of each seat; 0 for a seat that is not remembered. */
  words: Uint32Array;
  /** The number of remembered seats. */
  known: number;
  /** The number of free seats: of the page, and of each of its blocks. */
  free: number;
  freeInBlock: Uint8Array;
}

const newPage = (): Page => ({
  words: new Uint32Array(PAGE_SEATS),
  known: 0,
  free: 0,
  freeInBlock: new Uint8Array(PAGE_SEATS / BLOCK_SEATS),
});

const isFreeWord = (word: number): boolean => (word & STATUS_MASK) === CODES.available;

/**
 * The seats' states as this process knows them. It is only a cache: `isGone` alone is a final answer, because
 * a seat reserved for good never becomes free again. A version is a hint that the database checks.
 */
export class SeatMemory {
  private readonly pages = new Map<number, Page>();
  private known = 0;
  private changed = 0;
  private lastNumber = -1;
  private lastWords: Uint32Array | undefined;

  /** The number of remembered seats. */
  get size(): number {
    return this.known;
  }

  /** Counts changes of the memory. While it stands still, nothing that is remembered has changed. */
  get changes(): number {
    return this.changed;
  }

  /** Stores a seat's state as reported by the database, unless a newer version is known. */
  learn(seatId: number, version: number, status: SeatStatus, final: boolean): void {
    if (version >= VERSION_LIMIT) return;
    this.learnWord(seatId, (version << VERSION_SHIFT) | (final ? FINAL_BIT : 0) | CODES[status]);
  }

  /**
   * Same as `learn`, packed: the version times 8, plus 4 if final, plus 1 for available, 2 for held or 3 for
   * reserved.
   */
  learnWord(seatId: number, word: number): void {
    const number = Math.floor(seatId / PAGE_SEATS);
    let page = this.pages.get(number);
    if (!page) {
      if (this.pages.size >= PAGE_LIMIT) return;
      page = newPage();
      this.pages.set(number, page);
      this.lastNumber = -1;
    }
    const place = seatId % PAGE_SEATS;
    const known = page.words[place] ?? 0;
    if (known >>> VERSION_SHIFT > word >>> VERSION_SHIFT) return;
    this.replace(seatId, word);
  }

  /** Forgets a seat whose remembered state is wrong, so that the database is asked again. */
  forget(seatId: number): void {
    this.replace(seatId, 0);
  }

  /** @param word 0 means unknown */
  private replace(seatId: number, word: number): void {
    const page = this.pages.get(Math.floor(seatId / PAGE_SEATS));
    const place = seatId % PAGE_SEATS;
    const known = page?.words[place] ?? 0;
    if (!page || known === word) return;
    const added = Number(word !== 0) - Number(known !== 0);
    page.known += added;
    this.known += added;
    this.changed++;
    page.words[place] = word;
    const freed = Number(isFreeWord(word)) - Number(isFreeWord(known));
    const block = Math.floor(place / BLOCK_SEATS);
    page.free += freed;
    page.freeInBlock[block] = (page.freeInBlock[block] ?? 0) + freed;
  }

  clear(): void {
    this.pages.clear();
    this.lastNumber = -1;
    this.known = 0;
    this.changed++;
  }

  /** Returns whether the seat is reserved and can never become free again. */
  isGone(seatId: number): boolean {
    return (this.wordOf(seatId) & (STATUS_MASK | FINAL_BIT)) === RESERVED_FOR_GOOD;
  }

  /** Returns the last known status of a seat, or undefined if it is unknown. */
  statusOf(seatId: number): SeatStatus | undefined {
    return STATUSES[this.wordOf(seatId) & STATUS_MASK];
  }

  /** Returns whether the last known status is available. */
  isAvailable(seatId: number): boolean {
    return isFreeWord(this.wordOf(seatId));
  }

  /**
   * Returns whether any of these consecutive seats may be free. False is certain. It costs a look per 64 seats, and one
   * per 4,096 where all are sold.
   */
  mayHaveAvailable(firstSeatId: number, seatCount: number): boolean {
    const end = firstSeatId + seatCount;
    for (let seatId = firstSeatId; seatId < end; ) {
      const page = this.pages.get(Math.floor(seatId / PAGE_SEATS));
      const hasFree = page !== undefined && page.free > 0;
      if (hasFree && page.freeInBlock[Math.floor((seatId % PAGE_SEATS) / BLOCK_SEATS)] !== 0) return true;
      const step = hasFree ? BLOCK_SEATS : PAGE_SEATS;
      seatId = (Math.floor(seatId / step) + 1) * step;
    }
    return false;
  }

  /** Returns whether all of these consecutive seats are remembered. */
  knowsAll(firstSeatId: number, seatCount: number): boolean {
    const end = firstSeatId + seatCount;
    for (let seatId = firstSeatId; seatId < end; ) {
      const number = Math.floor(seatId / PAGE_SEATS);
      const next = Math.min(end, (number + 1) * PAGE_SEATS);
      if (this.pages.get(number)?.known !== PAGE_SEATS)
        for (; seatId < next; seatId++) if (this.wordOf(seatId) === 0) return false;
      seatId = next;
    }
    return true;
  }

  /** Returns the newest known version, or -1 (which no seat has) for an unknown seat. */
  versionOf(seatId: number): number {
    const word = this.wordOf(seatId);
    return word === 0 ? -1 : word >>> VERSION_SHIFT;
  }

  /** Writes 2 bits per seat into zeroed bytes, lowest bits first: 0 unknown, 1 available, 2 held, 3 reserved. */
  packStatuses(firstSeatId: number, seatCount: number, target: Uint8Array): void {
    for (let index = 0; index < seatCount; ) {
      const words = this.pages.get(Math.floor((firstSeatId + index) / PAGE_SEATS))?.words;
      const place = (firstSeatId + index) % PAGE_SEATS;
      const end = Math.min(seatCount, index + PAGE_SEATS - place);
      for (let shift = place - index; words && index < end; index++) {
        target[index >> 2] =
          (target[index >> 2] ?? 0) | (((words[index + shift] ?? 0) & STATUS_MASK) << ((index & 3) * 2));
      }
      index = end;
    }
  }

  /**
   * Returns the packed word of a seat. Searches ask for neighbouring seats one after the other, so the last
   * page is kept at hand.
   */
  private wordOf(seatId: number): number {
    const number = Math.floor(seatId / PAGE_SEATS);
    if (number !== this.lastNumber) {
      this.lastNumber = number;
      this.lastWords = this.pages.get(number)?.words;
    }
    return this.lastWords?.[seatId % PAGE_SEATS] ?? 0;
  }
}
