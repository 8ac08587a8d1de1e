import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import {
  type Moment,
  type PackedSeats,
  readChangedSeatsAfter,
  readLastSeatId,
  readMoment,
  readSeatsAfter,
} from "../postgres/seats.ts";
import { Loop } from "../runtime/loop.ts";
import { SharedFlight } from "../runtime/shared-flight.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";

/** Maximum number of seats of one page, which keeps the main thread busy for about a millisecond. */
const PAGE_LIMIT_SEATS = 20_000;

/** The time between two marks. It is far longer than a peer needs from its commit to its feed message. */
const MARK_INTERVAL_MS = 5000;

/** A moment of the database, and this process's time when it was asked for. */
export interface Mark {
  moment: Moment;
  takenAtMs: number;
}

type Page = (after: number, limit: number) => Promise<PackedSeats>;

/** Reads seats into memory page by page, starting after the seat `from`. */
export async function learnPages(memory: SeatMemory, page: Page, from = 0): Promise<void> {
  for (let after: number | null = from; after !== null; ) {
    const packed: PackedSeats = await page(after, PAGE_LIMIT_SEATS);
    learnPacked(memory, after, packed.seats);
    after = packed.next;
  }
}

function learnPacked(memory: SeatMemory, after: number, seats: Buffer): void {
  for (let place = 0; place < seats.length; place += 8) {
    memory.learnWord(after + seats.readUInt32BE(place), seats.readUInt32BE(place + 4));
  }
}

/**
 * Fills the seats' memory from the database. At the start it reads everything, in the background and in pages; later,
 * what changed while the change feed was lost.
 *
 * Marks are moments of the database that are taken while every other process is heard. A catch-up reads from the mark
 * before the last: a commit just before a mark may be announced just after it, when the feed is already lost.
 */
export class MemoryKeeper {
  private marks: [older: Mark | undefined, newer: Mark | undefined] = [undefined, undefined];
  private readonly loop: Loop;
  private readonly reading = new SharedFlight(() => this.read());
  private filled = false;
  /** Whether nothing has been read since the start or a new epoch. A live feed does not make up for that. */
  private isCold = true;
  /** Whether an engine is on the database whose changes do not arrive by the feed. */
  private misses = false;

  constructor(
    private readonly database: NodePgDatabase,
    private readonly memory: SeatMemory,
    private readonly isFeedLive: () => boolean,
  ) {
    this.loop = new Loop(async () => {
      await this.mark();
      return MARK_INTERVAL_MS;
    }, MARK_INTERVAL_MS);
  }

  /**
   * Takes in everything that was committed before the call. A catch-up begins only when the previous one has ended.
   * Otherwise everything would be read twice at the same time, because the change feed comes alive during the first.
   * @throws if the database cannot be read; what was read stays.
   */
  catchUp(): Promise<void> {
    return this.reading.next();
  }

  /** Whether everything was read once. Before that, a map would show seats as unknown. */
  get isFilled(): boolean {
    return this.filled;
  }

  /** A moment before which memory has everything. Undefined until memory is filled. */
  get completeSince(): Mark | undefined {
    return this.isCold ? undefined : this.marks[0];
  }

  /** Drops the marks, which belong to an earlier epoch. The next catch-up reads everything. */
  forget(): void {
    this.marks = [undefined, undefined];
    this.isCold = true;
  }

  /** Sets whether changes are missed although the feed is live. Memory then catches up every few seconds. */
  missesChanges(misses: boolean): void {
    this.misses = misses;
  }

  private get hearsAll(): boolean {
    return this.isFeedLive() && !this.misses;
  }

  close(): void {
    void this.loop.stop();
  }

  private async read(): Promise<void> {
    const [older] = this.marks;
    const now = await this.takeMark();
    if (older && older.moment.epoch === now.moment.epoch) {
      await learnPages(this.memory, (after, limit) =>
        readChangedSeatsAfter(this.database, older.moment, after, limit),
      );
    } else await this.readAll();
    this.marks = [now, undefined];
    this.filled = true;
    this.isCold = false;
  }

  /**
   * Reads both halves at once, each on its own connection and so on its own core of the database. That takes 6 s
   * instead of 11 for 10 million seats.
   */
  private async readAll(): Promise<void> {
    const middle = Math.floor((await readLastSeatId(this.database)) / 2);
    await Promise.all([
      learnPages(this.memory, (after, limit) => readSeatsAfter(this.database, after, limit, middle)),
      learnPages(
        this.memory,
        (after, limit) => readSeatsAfter(this.database, after, limit, Number.MAX_SAFE_INTEGER),
        middle,
      ),
    ]);
  }

  /**
   * Takes a mark while every other process is heard, and catches up otherwise. So memory that misses changes is a few
   * seconds old at most. A timer calls this every 5 s, which also repeats a first read that has failed.
   */
  async mark(): Promise<void> {
    if (this.isCold || !this.hearsAll) return this.catchUp().catch(() => undefined);
    const mark = await this.takeMark().catch(() => undefined);
    if (mark && this.hearsAll) this.marks = [this.marks[1] ?? this.marks[0], mark];
  }

  private async takeMark(): Promise<Mark> {
    const takenAtMs = performance.now();
    return { moment: await readMoment(this.database), takenAtMs };
  }
}
