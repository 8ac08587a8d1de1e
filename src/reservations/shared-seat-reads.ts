import type { SeatNow } from "../postgres/seats.ts";
import type { SeatId } from "../venue/seat-id.ts";

/**
 * Maximum number of seats of one read. Requests beyond that wait for the next read; beyond the second limit they are
 * refused.
 */
const READ_LIMIT_SEATS = 2000;
const WAITING_LIMIT_SEATS = 2 * READ_LIMIT_SEATS;

type Answer = (found: Map<number, SeatNow>) => void;

interface Waiting {
  seatIds: SeatId[];
  resolve: Answer;
  reject(error: unknown): void;
}

/**
 * Reads the rows of single seats, one read at a time. All requests that arrive meanwhile share the next read, so a
 * flood of requests never takes more than one connection.
 */
export class SharedSeatReads {
  private waiting: Waiting[] = [];
  private waitingSeats = 0;
  private isReading = false;

  /** @param read returns the seats that exist among these; rejects if the database cannot be asked */
  constructor(private readonly read: (seatIds: SeatId[]) => Promise<SeatNow[]>) {}

  /** Returns the seats as they are after this call, by id. Undefined if too many already wait. */
  find(seatIds: SeatId[]): Promise<Map<number, SeatNow>> | undefined {
    if (this.waitingSeats + seatIds.length > WAITING_LIMIT_SEATS) return undefined;
    return new Promise((resolve, reject) => {
      this.waiting.push({ seatIds, resolve, reject });
      this.waitingSeats += seatIds.length;
      if (!this.isReading) void this.readAll();
    });
  }

  private async readAll(): Promise<void> {
    this.isReading = true;
    while (this.waiting.length > 0) {
      const asked = this.nextOnes();
      try {
        const rows = await this.read([...new Set(asked.flatMap(({ seatIds }) => seatIds))]);
        const found = new Map(rows.map((row) => [row.seatId, row]));
        for (const { resolve } of asked) resolve(found);
      } catch (error) {
        for (const { reject } of asked) reject(error);
      }
    }
    this.isReading = false;
  }

  private nextOnes(): Waiting[] {
    let count = 0;
    let seats = 0;
    for (const { seatIds } of this.waiting) {
      if (count > 0 && seats + seatIds.length > READ_LIMIT_SEATS) break;
      seats += seatIds.length;
      count++;
    }
    this.waitingSeats -= seats;
    return this.waiting.splice(0, count);
  }
}
