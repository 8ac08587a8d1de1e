import { setTimeout as delay } from "node:timers/promises";
import type {
  BatchAnswer,
  ReservationTask,
  ReserveResult,
  SeatAnswer,
  SettleResult,
} from "../dispatch/messages.ts";
import type { SeatId } from "../seats/seat-id.ts";
import type { SeatMemory } from "../seats/seat-memory.ts";
import type { BusyReason, Outcome } from "./outcome.ts";

/** Clients of a batch in doubt wait this long for the truth; then they are told "try again" and the seats go back. */
const DOUBT_DEADLINE_MS = 5000;
const SETTLE_INTERVAL_MS = 250;

/** A small rest waits no longer for a batch that is slow. */
const REST_LIMIT_MS = 5;

export interface BatcherOptions {
  memory: SeatMemory;
  /** False while changes of other processes may be missed: then memory refuses nobody by itself. */
  mayTrustMemory(): boolean;
  /** Hands a batch to a worker thread; rejects when the thread died. */
  run<Result>(task: ReservationTask): Promise<Result>;
  /** Batches under way at once: worker threads times batches per thread. */
  slotCount: number;
  batchLimitSeats: number;
  queueLimitSeats: number;
  observer: BatchObserver;
}

/** Hears what happens to batches, for metrics, the change feed and the database's gate. */
interface BatchObserver {
  decided(batch: DecidedBatch): void;
  /** Seats that were committed for buyers who had been told to try again are free, at these versions. */
  gaveBack(seats: { seatId: SeatId; version: number }[]): void;
  /** Their buyers had to be told to try again before it was known whether these were committed. */
  unresolved(reservationIds: string[]): void;
  /** The answer was lost, or the database cannot be asked. */
  trouble(kind: "doubtful" | "away"): void;
}

export interface DecidedBatch {
  answer: BatchAnswer;
  /** One a seat, in the answer's order; arrivals by `performance.now`. */
  outcomes: Outcome[];
  arrivals: number[];
  /** The longest wait in the queue, and when the batch was sent (both by `performance.now`). */
  queuedMs: number;
  sentAt: number;
}

interface Pending {
  seatId: SeatId;
  reservationId: string;
  arrivedAt: number;
  resolve(outcome: Outcome): void;
}

/**
 * Gathers requests for distinct seats while workers are busy; a free slot takes all that has gathered, up
 * to the limit, once that is as much as the batches under way carry on average, or after 5 ms. Under light
 * load a batch is one request and leaves at once, under heavy load batches grow by themselves, like a
 * database's group commit. (A free slot that takes any small rest at once splits 50 clients into batches of
 * 12, and a batch costs about the same whatever is in it.)
 *
 * A seat is in flight from arrival to answer, and in one batch at most: who asks for it meanwhile is told
 * `contended` at once, which is true.
 */
export class Batcher {
  private readonly inFlight = new Set<SeatId>();
  private queue: Pending[] = [];
  private freeSlots: number;
  /** Batches that workers are deciding on, without those in doubt. */
  private readonly underWay = { batches: 0, seats: 0 };
  private scheduled = false;
  private rest: ReturnType<typeof setTimeout> | undefined;
  private refusal: BusyReason | undefined;
  private idle: (() => void) | undefined;

  constructor(private readonly options: BatcherOptions) {
    this.freeSlots = options.slotCount;
  }

  /** Seats waiting for a worker. */
  get queueSeats(): number {
    return this.queue.length;
  }

  /** Batches with a worker now. */
  get busySlots(): number {
    return this.options.slotCount - this.freeSlots;
  }

  /** Decides on one seat: from memory at once where memory may, else through the next batch. */
  reserve(seatId: SeatId): Outcome | Promise<Outcome> {
    if (this.options.mayTrustMemory() && this.options.memory.isGone(seatId))
      return { kind: "taken", seatId, reason: "reserved" };
    if (this.refusal) return { kind: "busy", seatId, reason: this.refusal };
    if (this.inFlight.has(seatId)) return { kind: "taken", seatId, reason: "contended" };
    if (this.queue.length >= this.options.queueLimitSeats)
      return { kind: "busy", seatId, reason: "overloaded" };
    return new Promise((resolve) => {
      const pending = { seatId, reservationId: Bun.randomUUIDv7(), arrivedAt: performance.now(), resolve };
      this.inFlight.add(seatId);
      this.queue.push(pending);
      this.schedule();
    });
  }

  /** From now on new requests are answered busy for that reason, and those still queued too unless it is draining; undefined ends it. */
  refuse(reason: BusyReason | undefined): void {
    this.refusal = reason;
    if (!reason || reason === "draining") return;
    for (const pending of this.queue) this.answer(pending, { kind: "busy", seatId: pending.seatId, reason });
    this.queue = [];
  }

  /** Resolves when everything that was accepted has its answer. */
  drained(): Promise<void> {
    if (this.inFlight.size === 0 && this.busySlots === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.idle = resolve;
    });
  }

  /** After this turn of the event loop, so that all requests read in it share a batch. */
  private schedule(): void {
    if (this.scheduled || this.freeSlots === 0) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      if (!this.isWorthASlot()) {
        this.rest ??= setTimeout(() => this.sendAll(), REST_LIMIT_MS);
        return;
      }
      this.sendAll();
    });
  }

  private isWorthASlot(): boolean {
    return this.queue.length * this.underWay.batches >= this.underWay.seats;
  }

  private sendAll(): void {
    clearTimeout(this.rest);
    this.rest = undefined;
    while (this.freeSlots > 0 && this.queue.length > 0) {
      void this.send(this.queue.splice(0, this.options.batchLimitSeats));
    }
  }

  private async send(batch: Pending[]): Promise<void> {
    this.freeSlots--;
    try {
      await this.decide(batch);
    } finally {
      this.freeSlots++;
      if (this.queue.length > 0) this.schedule();
      else if (this.idle && this.inFlight.size === 0 && this.busySlots === 0) this.idle();
    }
  }

  private async decide(batch: Pending[]): Promise<void> {
    const { memory, observer } = this.options;
    this.underWay.batches++;
    this.underWay.seats += batch.length;
    const sentAt = performance.now();
    const seatIds = batch.map((pending) => pending.seatId);
    const result = await this.options
      .run<ReserveResult>({
        kind: "reserve",
        seatIds,
        versions: seatIds.map((seatId) => memory.versionOf(seatId)),
        reservationIds: batch.map((pending) => pending.reservationId),
      })
      .catch((): ReserveResult => "doubtful");
    this.underWay.batches--;
    this.underWay.seats -= batch.length;

    if (result === "doubtful") {
      observer.trouble("doubtful");
      if (this.queue.length > 0) this.schedule();
      await this.settle(batch);
    } else {
      const outcomes = batch.map((pending, position) => {
        const seat = result.seats[position];
        if (seat) this.learn(pending.seatId, seat);
        const outcome = outcomeOf(pending, seat);
        this.answer(pending, outcome);
        return outcome;
      });
      if (result.databaseAway) observer.trouble("away");
      const arrivals = batch.map((pending) => pending.arrivedAt);
      observer.decided({
        answer: result,
        outcomes,
        arrivals,
        queuedMs: sentAt - (arrivals[0] ?? sentAt),
        sentAt,
      });
    }
  }

  /**
   * Keeps asking until the database has said for each seat whether it was committed. The seats stay in
   * flight and the slot stays taken meanwhile, which bounds the doubt there can be. Past the deadline the
   * clients are told to try again, and what turns out to be committed is given back.
   */
  private async settle(batch: Pending[]): Promise<void> {
    const seatIds = batch.map((pending) => pending.seatId);
    const reservationIds = batch.map((pending) => pending.reservationId);
    const deadline = performance.now() + DOUBT_DEADLINE_MS;
    for (let told = false; ; ) {
      const result = await this.options
        .run<SettleResult>({ kind: "settle", giveBack: told, seatIds, reservationIds })
        .catch((): SettleResult => "away");
      if (result !== "away") {
        for (const [position, pending] of batch.entries()) {
          this.answer(pending, settledOutcome(pending, result.versions[position]));
        }
        if (told) this.gaveBack(seatIds, result.versions);
        return;
      }
      if (!told && performance.now() > deadline) {
        told = true;
        for (const pending of batch) {
          pending.resolve({ kind: "busy", seatId: pending.seatId, reason: "unavailable" });
        }
        this.options.observer.unresolved(reservationIds);
      }
      await delay(SETTLE_INTERVAL_MS);
    }
  }

  /** Whoever has read these seats meanwhile takes them for gone: the release is newer. */
  private gaveBack(seatIds: SeatId[], versions: (number | null)[]): void {
    const freed = seatIds.flatMap((seatId, position) => {
      const version = versions[position];
      return version == null ? [] : [{ seatId, version: version + 1 }];
    });
    for (const { seatId, version } of freed) this.options.memory.learn(seatId, version, "available", false);
    if (freed.length > 0) this.options.observer.gaveBack(freed);
  }

  private answer(pending: Pending, outcome: Outcome): void {
    this.inFlight.delete(pending.seatId);
    pending.resolve(outcome);
  }

  private learn(seatId: SeatId, seat: SeatAnswer): void {
    if (seat.version === null) return;
    if (seat.verdict === "won" || seat.verdict === "reserved") {
      this.options.memory.learn(seatId, seat.version, "reserved", seat.final);
    } else if (seat.verdict === "held") {
      this.options.memory.learn(seatId, seat.version, "held", false);
    }
  }
}

function settledOutcome({ seatId, reservationId }: Pending, version: number | null | undefined): Outcome {
  return version == null
    ? { kind: "busy", seatId, reason: "unavailable" }
    : { kind: "won", seatId, reservationId, version, final: false };
}

function outcomeOf({ seatId, reservationId }: Pending, seat: SeatAnswer | undefined): Outcome {
  switch (seat?.verdict) {
    case "won":
      return { kind: "won", seatId, reservationId, version: seat.version ?? 0, final: seat.final };
    case "reserved":
    case "held":
    case "contended":
      return { kind: "taken", seatId, reason: seat.verdict };
    case "missing":
      return { kind: "missing", seatId };
    case "undecided":
    case "moved":
    case undefined:
      return { kind: "busy", seatId, reason: "unavailable" };
    default:
      return seat satisfies never;
  }
}
