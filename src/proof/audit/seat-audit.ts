import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { SeatMemory } from "../../venue/seat-memory.ts";
import { driftOf, type Remembered, recall } from "./memory-drift.ts";
import { type Drift, FINDINGS_LIMIT } from "./open-findings.ts";
import { lookAtSeats, readSeatsNow, type SeatFacts } from "./seat-look.ts";

/** Three scrapes that are five seconds apart, at two seconds per round. */
const ROUNDS_BEFORE_FORGOTTEN = 8;

/** The result of checking one part: how much was checked, and everything that is wrong there now. */
export interface Seen {
  lookedAt: number;
  found: Drift[];
}

/**
 * Walks through the seats by id continuously, a slice per round. It checks each seat's row against its
 * ledger, and this process's memory against the row, which is trusted. Findings are checked again in every
 * round, so that their repair is noticed at once.
 */
export class SeatAudit {
  private after = 0;
  private epoch: number | undefined;
  private contradicted: number[] = [];
  /** The number of rounds in which each was seen. */
  private misremembered = new Map<number, number>();

  constructor(
    private readonly database: NodePgDatabase,
    private readonly memory: SeatMemory,
    private readonly sliceSeats: number,
  ) {}

  /** @throws if the database cannot be read; the next round checks the same seats */
  async look(): Promise<{ seats: Seen; memory: Seen }> {
    const { epoch, seats, lookedAt, contradicted, next } = await lookAtSeats(this.database, {
      after: this.after,
      limit: this.sliceSeats,
      again: this.contradicted,
    });
    // In a new epoch, commits that memory still knows may have been lost; memory is about to be reloaded.
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
   * Forgets wrong seats of memory, which would otherwise stay wrong forever. A forged message of the change
   * feed was seen to refuse a free seat until the next start. It waits until a metrics scrape cannot have
   * missed them.
   */
  private mend(misremembered: { seatId: number }[]): Map<number, number> {
    const kept = new Map<number, number>();
    for (const { seatId } of misremembered) {
      const rounds = (this.misremembered.get(seatId) ?? 0) + 1;
      if (rounds < ROUNDS_BEFORE_FORGOTTEN) kept.set(seatId, rounds);
      else this.memory.forget(seatId);
    }
    return kept;
  }

  /**
   * Returns the differences that are certain. Memory may have changed since the seats were read, so a
   * difference is only a suspicion: the seat is read again, and memory's earlier state must not be ahead of
   * that.
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

const findingOf = ({ seatId, what }: { seatId: number; what: string }): Drift => ({
  place: String(seatId),
  seatId,
  what,
});
