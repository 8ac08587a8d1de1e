import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { SeatMemory } from "../../venue/seat-memory.ts";
import { driftOf, type Remembered, recall } from "./memory-drift.ts";
import { lookAtSeats, readSeatsNow, type SeatFacts } from "./seat-look.ts";
import { FINDINGS_LIMIT, type Finding } from "./standing.ts";

/** At two seconds each: three scrapes, five seconds apart. */
const ROUNDS_BEFORE_FORGOTTEN = 8;

/** What a look has seen of one part: how much it looked at, and everything that is wrong there now. */
export interface Seen {
  lookedAt: number;
  found: Finding[];
}

/**
 * Walks round and round through the seats by id, a slice a round: each seat's row against its ledger, and this
 * process's memory of it against the row, which is believed. What was found is looked at again in every round, so that it is known at
 * once when it is mended.
 */
export class SeatAudit {
  private after = 0;
  private epoch: number | undefined;
  private contradicted: number[] = [];
  /** With the rounds that each has been seen in. */
  private misremembered = new Map<number, number>();

  constructor(
    private readonly database: NodePgDatabase,
    private readonly memory: SeatMemory,
    private readonly sliceSeats: number,
  ) {}

  /** @throws when the database cannot be read; the next round looks at the same seats. */
  async look(): Promise<{ seats: Seen; memory: Seen }> {
    const { epoch, seats, lookedAt, contradicted, next } = await lookAtSeats(this.database, {
      after: this.after,
      limit: this.sliceSeats,
      again: this.contradicted,
    });
    // In a new epoch commits may have been lost that memory still knows: it is about to be filled anew.
    const isNew = this.epoch !== undefined && epoch !== this.epoch;
    const memory = isNew ? [] : await this.compare(seats, epoch);
    this.epoch = epoch;
    this.after = next ?? 0;
    this.contradicted = contradicted.slice(0, FINDINGS_LIMIT).map(({ seatId }) => seatId);
    this.misremembered = this.mend(memory.slice(0, FINDINGS_LIMIT));
    return {
      seats: { lookedAt, found: contradicted.map(findingOf) },
      memory: { lookedAt: seats.length, found: memory.map(findingOf) },
    };
  }

  /**
   * What memory has wrong it would have wrong for ever (a forged message of the change feed refused a free seat
   * until the next start): it is forgotten, as soon as whoever collects the figures cannot have missed it.
   */
  private mend(misremembered: { seatId: number }[]): Map<number, number> {
    const standing = new Map<number, number>();
    for (const { seatId } of misremembered) {
      const rounds = (this.misremembered.get(seatId) ?? 0) + 1;
      if (rounds < ROUNDS_BEFORE_FORGOTTEN) standing.set(seatId, rounds);
      else this.memory.forget(seatId);
    }
    return standing;
  }

  /**
   * Memory may have moved on since the seats were read. So a difference is a suspicion only: the seat is read once
   * more, and what memory said before that reading must not be ahead of it.
   */
  private async compare(seats: SeatFacts[], epoch: number): Promise<{ seatId: number; what: string }[]> {
    const suspects = new Map<number, Remembered>();
    for (const seat of seats) {
      const said = recall(this.memory, seat.seatId);
      if (said && driftOf(said, { ...seat, changedSecondsAgo: Number.POSITIVE_INFINITY }))
        suspects.set(seat.seatId, said);
    }
    for (const seatId of this.misremembered.keys()) {
      const said = recall(this.memory, seatId);
      if (said) suspects.set(seatId, said);
    }
    if (suspects.size === 0) return [];
    const now = await readSeatsNow(this.database, [...suspects.keys()]);
    if (now.epoch !== epoch) return [];
    return now.seats.flatMap((seat) => {
      const said = suspects.get(seat.seatId);
      const what = said && driftOf(said, seat);
      return what === undefined ? [] : [{ seatId: seat.seatId, what }];
    });
  }
}

const findingOf = ({ seatId, what }: { seatId: number; what: string }): Finding => ({
  place: String(seatId),
  seatId,
  what,
});
