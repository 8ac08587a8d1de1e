import type { ReservationFacts } from "../postgres/change.ts";
import { assert, at } from "../runtime/assert.ts";
import type {
  BatchAnswer,
  OrderAnswer,
  ReservationTask,
  SettleResult,
  TakeResult,
} from "../threads/messages.ts";
import type { BusyReason } from "../venue/outcome.ts";
import type { SeatChange } from "../venue/seat-events.ts";
import type { SeatId } from "../venue/seat-id.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import type { BatchObserver } from "./batch-observer.ts";
import { Gatherer } from "./gatherer.ts";
import {
  answerBusy,
  checksOf,
  claimsOf,
  fitting,
  type HoldOrder,
  type HoldRequest,
  holdOutcomeOf,
  type Order,
  outcomeOf,
  type ReserveOrder,
  seatOrderOf,
  takenFor,
} from "./order.ts";
import type { HoldOutcome, Outcome } from "./outcome.ts";
import { untilSettled } from "./recovery.ts";
import { changesOfSettled, learnChanges, learnFrom } from "./seat-changes.ts";

export interface BatcherOptions {
  memory: SeatMemory;
  /** False while changes of other processes may be missed. Then no request is refused from memory alone. */
  mayTrustMemory(): boolean;
  /** Hands a batch to a worker thread. Rejects if the thread died. */
  run<Result>(task: ReservationTask): Promise<Result>;
  /** Reads the committed facts of a hold whose answer was lost. */
  readFacts(reservationId: string): Promise<ReservationFacts | undefined>;
  /** Returns how many seats this caller may have in live holds; 0 means no limit. */
  callerLimitSeats?(caller: string): number;
  /** Maximum number of batches that run at once: worker threads times batches per thread. */
  slotCount: number;
  batchLimitSeats: number;
  queueLimitSeats: number;
  observer: BatchObserver;
}

export interface DecidedBatch {
  answer: BatchAnswer;
  seatCount: number;
  /** Times of arrival by `performance.now`. */
  requests: { result: "won" | "taken" | "failed"; arrivedAt: number }[];
  /** The longest wait in the queue, and when the batch was sent (both by `performance.now`). */
  queuedMs: number;
  sentAt: number;
}

/**
 * Takes seats. Requests for one seat or several are checked against memory, then sent in batches to the worker threads.
 *
 * A seat is in flight from arrival to answer, and in one batch at most. Another request for it is answered `contended`
 * at once, which is true. The buyer and the key of a request are in flight in the same way.
 */
export class Batcher {
  private readonly inFlight = new Set<SeatId | string>();
  private readonly gatherer: Gatherer<Order>;

  constructor(private readonly options: BatcherOptions) {
    this.gatherer = new Gatherer({
      slotCount: options.slotCount,
      batchLimit: options.batchLimitSeats,
      queueLimit: options.queueLimitSeats,
      weightOf: (order) => order.seatIds.length,
      send: (batch, answered) => this.decide(batch, answered),
      refuse: (order, reason) => this.turnAway(order, reason),
    });
  }

  /** The number of seats that wait for a worker. */
  get queueSeats(): number {
    return this.gatherer.queued;
  }

  /** The number of batches that a worker is running. */
  get busySlots(): number {
    return this.gatherer.busySlots;
  }

  /** Whether a request for this seat is being decided in this process. */
  isInFlight(seatId: SeatId): boolean {
    return this.inFlight.has(seatId);
  }

  /** Whether the seat is sold for good, as far as memory knows and may be trusted. */
  isSold(seatId: SeatId): boolean {
    return this.options.mayTrustMemory() && this.options.memory.isGone(seatId);
  }

  /** Reserves one seat through the next batch. Refuses it at once, from memory, if memory may. */
  reserve(seatId: SeatId): Outcome | Promise<Outcome> {
    if (this.isSold(seatId)) return { kind: "taken", seatId, reason: "reserved" };
    const { isRefusing } = this.gatherer;
    if (isRefusing && isRefusing !== "overloaded") return { kind: "busy", seatId, reason: isRefusing };
    if (this.inFlight.has(seatId)) return { kind: "taken", seatId, reason: "contended" };
    if (isRefusing) return { kind: "busy", seatId, reason: isRefusing };
    return new Promise((resolve) => {
      this.inFlight.add(seatId);
      this.gatherer.add({
        kind: "reserve",
        reservationId: Bun.randomUUIDv7(),
        seatIds: [seatId],
        arrivedAt: performance.now(),
        resolve,
      });
    });
  }

  /** Returns the seats that are sold for good, as far as memory knows and may be trusted. */
  goneOf(seatIds: SeatId[]): SeatId[] {
    return this.options.mayTrustMemory()
      ? seatIds.filter((seatId) => this.options.memory.isGone(seatId))
      : [];
  }

  /** Returns the refusal of a hold that needs no database, or undefined if the database has to be asked. */
  refusalOf(request: HoldRequest, claims = claimsOf(request)): HoldOutcome | undefined {
    const { seatIds, key } = request;
    const gone = key ? [] : this.goneOf(seatIds);
    if (gone.length > 0) return takenFor(gone, "reserved");
    const { isRefusing } = this.gatherer;
    if (isRefusing) return { kind: "busy", reason: isRefusing };
    if (claims.some((claim) => this.inFlight.has(claim))) return { kind: "running" };
    const contended = seatIds.filter((seatId) => this.inFlight.has(seatId));
    return contended.length > 0 ? takenFor(contended, "contended") : undefined;
  }

  /**
   * Holds all of the seats or none. A request with a key is never refused from memory alone: the key may have been
   * answered before the seats were gone.
   */
  hold(request: HoldRequest): HoldOutcome | Promise<HoldOutcome> {
    const claims = claimsOf(request);
    const refusal = this.refusalOf(request, claims);
    if (refusal) return refusal;
    const { seatIds, caller = null } = request;
    return new Promise((resolve) => {
      for (const claim of claims) this.inFlight.add(claim);
      for (const seatId of seatIds) this.inFlight.add(seatId);
      this.gatherer.add({
        kind: "hold",
        reservationId: Bun.randomUUIDv7(),
        seatIds,
        claims,
        caller,
        checks: checksOf(request, caller === null ? 0 : (this.options.callerLimitSeats?.(caller) ?? 0)),
        arrivedAt: performance.now(),
        resolve,
      });
    });
  }

  /**
   * Answers new requests busy for that reason until called with undefined. Queued requests are refused too, unless the
   * reason is `draining`.
   */
  refuse(reason: BusyReason | undefined): void {
    this.gatherer.refuse(reason);
  }

  /** Resolves when every accepted request is answered. */
  drained(): Promise<void> {
    return this.gatherer.drained();
  }

  private async decide(batch: Order[], answered: () => void): Promise<void> {
    const { memory, observer } = this.options;
    const sentAt = performance.now();
    const orders = batch.map((order) => seatOrderOf(order, memory));
    const answer = await this.options
      .run<TakeResult>({ kind: "take", orders })
      .then((result) => fitting(result, orders))
      .catch((): TakeResult => "doubtful");
    answered();

    if (answer === "doubtful") {
      observer.trouble("doubtful");
      return this.settle(batch);
    }
    const changes: SeatChange[] = [];
    const requests: DecidedBatch["requests"] = [];
    let seatCount = 0;
    for (const [index, order] of batch.entries()) {
      const its = at(answer.orders, index, "the answer to an order");
      seatCount += order.seatIds.length;
      changes.push(...this.learn(order, its));
      requests.push({ result: this.answer(order, its), arrivedAt: order.arrivedAt });
    }
    if (answer.databaseAway) observer.trouble("away");
    if (changes.length > 0) observer.changed(changes);
    const queuedMs = sentAt - at(batch, 0, "an order").arrivedAt;
    observer.decided({ answer, seatCount, requests, queuedMs, sentAt });
  }

  /** Puts what the answer says of its seats into memory. Returns the seats that were taken. */
  private learn({ kind, seatIds }: Order, answer: OrderAnswer): SeatChange[] {
    if (typeof answer === "string") return [];
    return answer.flatMap((row, index) => {
      const seatId = at(seatIds, index, "a seat of the order");
      const change = learnFrom(this.options.memory, seatId, kind === "hold", row);
      return change ? [change] : [];
    });
  }

  /**
   * Asks the database until it has said for each order whether it was committed. Until then the seats stay in flight
   * and the slot stays taken, which bounds the number of orders in doubt. Past the deadline the clients are told to try
   * again. Seats that turn out to be reserved are given back then; holds end by themselves.
   */
  private async settle(batch: Order[]): Promise<void> {
    const { observer } = this.options;
    const orders = batch.map(({ reservationId, seatIds }) => ({ reservationId, seatIds }));
    // These would stay sold. A hold ends by itself.
    const sold = orders.filter((_, index) => batch[index]?.kind === "reserve");
    const { result, notified } = await untilSettled<SettleResult>({
      ask: (giveBack) =>
        this.options
          .run<SettleResult>({ kind: "settle", giveBack, orders })
          .catch((): SettleResult => "away"),
      isSettled: (answer) => answer !== "away",
      giveUp: () => {
        observer.unresolved(sold, "began");
        for (const order of batch) answerBusy(order, "unavailable");
        return true;
      },
    });
    assert(result !== undefined && result !== "away", "a batch is asked about until it is settled");
    const settled = batch.map((order, index) => ({
      order,
      versions: at(result.orders, index, "what became of an order"),
    }));
    const changes = settled.flatMap(({ order, versions }) => changesOfSettled(order, versions, notified));
    // Memory learns this before anybody can ask for the seats again. It may meanwhile have read that some were given
    // back since.
    learnChanges(this.options.memory, changes);
    if (changes.length > 0) observer.changed(changes);
    if (notified) observer.unresolved(sold, "ended");
    await Promise.all(
      settled.map(({ order, versions }) => {
        if (versions === null) return this.turnAway(order, "unavailable");
        return order.kind === "reserve" ? this.settleReserve(order, versions) : this.settleHold(order);
      }),
    );
  }

  private settleReserve(order: ReserveOrder, versions: number[]): void {
    this.land(order);
    const [seatId] = order.seatIds;
    const version = at(versions, 0, "the version of a seat");
    order.resolve({ kind: "won", seatId, reservationId: order.reservationId, version, final: false });
  }

  private async settleHold(order: HoldOrder): Promise<void> {
    const facts = await this.options.readFacts(order.reservationId).catch(() => undefined);
    if (!facts) return this.turnAway(order, "unavailable");
    this.land(order);
    order.resolve({ kind: "held", facts });
  }

  private answer(order: Order, answer: OrderAnswer): "won" | "taken" | "failed" {
    this.land(order);
    if (order.kind === "reserve") {
      const outcome = outcomeOf(order, answer);
      order.resolve(outcome);
      return outcome.kind === "won" || outcome.kind === "taken" ? outcome.kind : "failed";
    }
    const outcome = holdOutcomeOf(order, answer);
    order.resolve(outcome);
    if (outcome.kind === "held") return "won";
    return outcome.kind === "taken" ? "taken" : "failed";
  }

  private turnAway(order: Order, reason: BusyReason): void {
    this.land(order);
    answerBusy(order, reason);
  }

  private land(order: Order): void {
    for (const seatId of order.seatIds) this.inFlight.delete(seatId);
    if (order.kind === "hold") for (const claim of order.claims) this.inFlight.delete(claim);
  }
}
