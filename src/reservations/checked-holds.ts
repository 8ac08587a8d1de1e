import type { ReservationFacts } from "../postgres/change.ts";
import { claimOfBuyer, claimOfKey, type KeyClaim } from "../postgres/claims.ts";
import type { SeatNow } from "../postgres/seats.ts";
import type { SeatId } from "../venue/seat-id.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import type { Batcher } from "./batcher.ts";
import { type HoldRequest, takenFor } from "./order.ts";
import type { HoldOutcome } from "./outcome.ts";
import { RecentClaims } from "./recent-claims.ts";
import { SharedSeatReads } from "./shared-seat-reads.ts";

export interface CheckedHoldsOptions {
  batcher: Pick<Batcher, "hold" | "refusalOf" | "goneOf">;
  memory: Pick<SeatMemory, "isAvailable">;
  /** Reads the seats that exist among these. Rejects if the database cannot be asked. */
  readSeats(seatIds: SeatId[]): Promise<SeatNow[]>;
  /** Returns the earlier answer to the key. Rejects if the database cannot be asked. */
  findReplay(key: KeyClaim): Promise<ReservationFacts | "key_mismatch" | undefined>;
  /**
   * Whether the buyer may have `moreSeats` more seats of the event of `seatId`. Rejects if the database cannot be
   * asked.
   */
  isWithinLimit(buyerId: string, seatId: SeatId, moreSeats: number): Promise<boolean>;
}

/**
 * Checks holds on their way to the batcher. From there until the answer the seats are in flight, and everybody else who
 * asks for them is told `contended`. So a request that must fail should not get that far: somebody could name one sold
 * seat beside 19 that everybody wants, again and again, and keep the 19 from all others at no cost.
 *
 * Requests that are likely to be refused are therefore checked in the database first, with nothing in flight. They name
 * seats that memory does not know to be free, a key that was used a moment ago, or a buyer who has just been refused
 * for having too many.
 *
 * Memory only decides which requests are checked, never the answer.
 */
export class CheckedHolds {
  private readonly reads: SharedSeatReads;
  private readonly usedKeys = new RecentClaims();
  private readonly fullBuyers = new RecentClaims();

  constructor(private readonly options: CheckedHoldsOptions) {
    this.reads = new SharedSeatReads((seatIds) => options.readSeats(seatIds));
  }

  /**
   * Checks the request if necessary, then asks the batcher.
   * @throws if the database has to be asked first and does not answer.
   */
  hold(request: HoldRequest): HoldOutcome | Promise<HoldOutcome> {
    const { seatIds, buyerId, key } = request;
    // A request for a single taken seat keeps nobody from another seat.
    const doubted =
      seatIds.length > 1 ? seatIds.filter((seatId) => !this.options.memory.isAvailable(seatId)) : [];
    if (doubted.length === 0 && key === null && buyerId === null) return this.options.batcher.hold(request);
    const refusal = this.options.batcher.refusalOf(request);
    if (refusal) return refusal;
    const gone = key ? this.options.batcher.goneOf(seatIds) : [];
    if (gone.length > 0) return takenFor(gone, "reserved");
    const usedKey = key && this.usedKeys.has(claimOfKey(key)) ? key : null;
    const fullBuyer = buyerId !== null && this.fullBuyers.has(claimOfBuyer(buyerId)) ? buyerId : null;
    if (doubted.length === 0 && !usedKey && fullBuyer === null) return this.send(request);
    return this.checked(request, { doubted, usedKey, fullBuyer });
  }

  private async checked(
    request: HoldRequest,
    {
      doubted,
      usedKey,
      fullBuyer,
    }: { doubted: SeatId[]; usedKey: KeyClaim | null; fullBuyer: string | null },
  ): Promise<HoldOutcome> {
    const { seatIds } = request;
    const [first] = seatIds;
    const replay = usedKey ? await this.options.findReplay(usedKey) : undefined;
    if (replay) return replay === "key_mismatch" ? { kind: "key_mismatch" } : { kind: "replayed" };
    if (fullBuyer !== null && first !== undefined) {
      if (!(await this.options.isWithinLimit(fullBuyer, first, seatIds.length)))
        return { kind: "over_limit" };
    }
    if (doubted.length > 0) {
      const found = await this.reads.find(doubted);
      if (!found) return { kind: "busy", reason: "overloaded" };
      const refusal = refusalFor(doubted, found);
      if (refusal) return refusal;
    }
    return this.send(request);
  }

  private async send(request: HoldRequest): Promise<HoldOutcome> {
    const { buyerId, key } = request;
    const outcome = await this.options.batcher.hold(request);
    if (key && (outcome.kind === "held" || outcome.kind === "replayed" || outcome.kind === "key_mismatch"))
      this.usedKeys.add(claimOfKey(key));
    if (buyerId !== null && outcome.kind === "over_limit") this.fullBuyers.add(claimOfBuyer(buyerId));
    return outcome;
  }
}

function refusalFor(seatIds: SeatId[], found: Map<number, SeatNow>): HoldOutcome | undefined {
  const missing = seatIds.filter((seatId) => !found.has(seatId));
  if (missing.length > 0) return { kind: "missing", seatIds: missing };
  const taken = seatIds.flatMap((seatId) => {
    const status = found.get(seatId)?.status;
    return status === "held" || status === "reserved" ? [{ seatId, reason: status }] : [];
  });
  return taken.length > 0 ? { kind: "taken", seats: taken } : undefined;
}
