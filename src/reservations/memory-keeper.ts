import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import {
  type Moment,
  type PackedSeats,
  readChangedSeatsAfter,
  readMoment,
  readSeatsAfter,
} from "../postgres/seats.ts";
import type { SeatMemory } from "../seats/seat-memory.ts";

const PAGE_LIMIT_SEATS = 20_000;

/** Between two marks lies far more time than a peer needs from its commit to its feed message. */
const MARK_INTERVAL_MS = 5000;

type Page = (after: number, limit: number) => Promise<PackedSeats>;

/** Reads page after page into memory. */
export async function learnPages(memory: SeatMemory, page: Page): Promise<void> {
  for (let after = 0; ; ) {
    const packed = await page(after, PAGE_LIMIT_SEATS);
    learnPacked(memory, packed);
    if (packed.count < PAGE_LIMIT_SEATS) return;
    after = packed.lastId;
  }
}

function learnPacked(memory: SeatMemory, { count, ids, words }: PackedSeats): void {
  for (let position = 0; position < count; position++) {
    const id = ids.readUInt32BE(8 * position) * 2 ** 32 + ids.readUInt32BE(8 * position + 4);
    memory.learnWord(id, words.readUInt32BE(4 * position));
  }
}

/**
 * Fills the seats' memory from the database: all of it at the start, in the background and in pages; what
 * changed while the change feed was lost, afterwards. Marks are moments of the database taken while the
 * feed is heard; a catch-up reads from the mark before the last, since a commit just before a mark may
 * have been announced just after it, into the loss.
 */
export class MemoryKeeper {
  private marks: [older: Moment | undefined, newer: Moment | undefined] = [undefined, undefined];
  private readonly timer: ReturnType<typeof setInterval>;
  private catchingUp: Promise<void> | undefined;
  private filled = false;

  constructor(
    private readonly database: NodePgDatabase,
    private readonly memory: SeatMemory,
    private readonly isFeedLive: () => boolean,
  ) {
    this.timer = setInterval(() => void this.mark(), MARK_INTERVAL_MS);
  }

  /** @throws when the database cannot be read; what was read stays. */
  async catchUp(): Promise<void> {
    const [older] = this.marks;
    const now = await readMoment(this.database);
    if (older && older.epoch === now.epoch) {
      await this.read((after, limit) => readChangedSeatsAfter(this.database, older, after, limit));
    } else {
      await this.read((after, limit) => readSeatsAfter(this.database, after, limit));
    }
    this.marks = [now, undefined];
    this.filled = true;
  }

  /** Whether everything was read once: before, a map would show seats as unknown. */
  get isFilled(): boolean {
    return this.filled;
  }

  /** The marks are of another epoch now; the next catch-up reads everything. */
  forget(): void {
    this.marks = [undefined, undefined];
  }

  close(): void {
    clearInterval(this.timer);
  }

  private read(page: Page): Promise<void> {
    return learnPages(this.memory, page);
  }

  /**
   * Takes a mark while the feed is heard, and catches up while it is not, so that memory without a feed is
   * seconds old at most; called by itself every 5 s.
   */
  async mark(): Promise<void> {
    if (!this.isFeedLive()) {
      this.catchingUp ??= this.catchUp()
        .catch(() => undefined)
        .finally(() => {
          this.catchingUp = undefined;
        });
      return this.catchingUp;
    }
    const moment = await readMoment(this.database).catch(() => undefined);
    if (moment && this.isFeedLive()) this.marks = [this.marks[1] ?? this.marks[0], moment];
  }
}
