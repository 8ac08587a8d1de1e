import type { ChangeAnswer, ChangeResult, ReservationTask } from "../dispatch/messages.ts";
import type { ChangeAction } from "../postgres/change.ts";
import { claimOfKey, type KeyClaim } from "../postgres/guards.ts";
import type { SeatMemory } from "../seats/seat-memory.ts";
import { untilRead, untilSettled } from "./doubt.ts";
import { Gatherer } from "./gatherer.ts";
import type { BusyReason, ChangeOutcome } from "./outcome.ts";
import { newsOf, type SeatNews } from "./seat-news.ts";

export interface ChangesOptions {
  memory: SeatMemory;
  /** Hands a batch to a worker thread; rejects when the thread died. */
  run(task: ReservationTask): Promise<ChangeResult>;
  /** Seats of these reservations as the database has them, after changes whose answer was lost. */
  readSeats(reservationIds: string[]): Promise<SeatNews[]>;
  /** Batches under way at once. */
  slotCount: number;
  batchLimitReservations: number;
  queueLimitReservations: number;
  observer: ChangesObserver;
}

interface ChangesObserver {
  /** These seats have changed, and memory knows. */
  changed(news: SeatNews[]): void;
  decided(count: number, transactionMs: number): void;
  /** The answer was lost, or the database cannot be asked. */
  trouble(kind: "doubtful" | "away"): void;
}

export interface ChangeRequest {
  reservationId: string;
  action: OwnerAction;
  key: KeyClaim | null;
}

/** What a reservation's owner may ask for; expiry is the sweeper's. */
export type OwnerAction = Exclude<ChangeAction, "expire">;

interface Pending extends ChangeRequest {
  claims: string[];
  resolve(outcome: ChangeOutcome): void;
}

/**
 * The status that an action leaves behind and that nothing else does, as `refused` tells it: found after a
 * lost answer, it was done.
 */
const DONE_STATUS = { confirm: "confirmed", extend: undefined, release: "released", cancel: "cancelled" };

/**
 * Changes reservations: confirm, release, extend and cancel go in batches to the worker threads. A
 * reservation is in flight from arrival to answer; who asks for it meanwhile is told `running`.
 */
export class Changes {
  private readonly inFlight = new Set<string>();
  private readonly gatherer: Gatherer<Pending>;

  constructor(private readonly options: ChangesOptions) {
    this.gatherer = new Gatherer({
      slotCount: options.slotCount,
      batchLimit: options.batchLimitReservations,
      queueLimit: options.queueLimitReservations,
      weightOf: () => 1,
      send: (batch, answered) => this.decide(batch, answered),
      refuse: (pending, reason) => this.answer(pending, { kind: "busy", reason }),
    });
  }

  /** Batches with a worker now. */
  get busySlots(): number {
    return this.gatherer.busySlots;
  }

  change(request: ChangeRequest): ChangeOutcome | Promise<ChangeOutcome> {
    const { isRefusing } = this.gatherer;
    if (isRefusing) return { kind: "busy", reason: isRefusing };
    const claims = [request.reservationId, ...(request.key ? [claimOfKey(request.key)] : [])];
    if (claims.some((claim) => this.inFlight.has(claim))) return { kind: "running" };
    return new Promise((resolve) => {
      for (const claim of claims) this.inFlight.add(claim);
      this.gatherer.add({ ...request, claims, resolve });
    });
  }

  /** As `Batcher.refuse`. */
  refuse(reason: BusyReason | undefined): void {
    this.gatherer.refuse(reason);
  }

  drained(): Promise<void> {
    return this.gatherer.drained();
  }

  /**
   * An answer that was lost is asked for again: every action ends in a state that does not allow it once
   * more, but for an extension, which may be repeated. So what is found done then was asked for here. Once
   * the clients were told to try again, nothing is done for them any more.
   */
  private async decide(batch: Pending[], answered: () => void): Promise<void> {
    const { observer, run } = this.options;
    const task = {
      kind: "change" as const,
      reservationIds: batch.map(({ reservationId }) => reservationId),
      actions: batch.map(({ action }) => action),
      guards: batch.flatMap(({ reservationId, key }) => (key ? [{ reservationId, key }] : [])),
    };
    const ask = (isRepeated: boolean) => run({ ...task, isRepeated }).catch((): ChangeResult => "doubtful");
    let result = await ask(false);
    answered();
    const wasLost = result === "doubtful";
    if (wasLost) {
      observer.trouble("doubtful");
      const settled = await untilSettled<ChangeResult>({
        ask: () => ask(true),
        isSettled: (answer) => answer !== "doubtful" && !answer.databaseAway && !isHeldUp(answer),
        giveUp: () => {
          for (const pending of batch) this.answer(pending, { kind: "busy", reason: "unavailable" });
          return false;
        },
      });
      result = settled.result ?? "doubtful";
    }
    if (result === "doubtful") return this.hear(task.reservationIds);
    if (result.databaseAway) observer.trouble("away");
    const news: SeatNews[] = [];
    for (const [index, pending] of batch.entries()) {
      const change = result.changes[index];
      if (change && "seats" in change) news.push(...newsOf(pending.action, change));
      this.answer(pending, outcomeOf(pending, change, wasLost));
    }
    for (const change of news) this.options.memory.learn(...change);
    if (news.length > 0) observer.changed(news);
    observer.decided(batch.length, result.transactionMs);
    // What was done before the answer was lost is told as refused or replayed, without the seats.
    if (wasLost) await this.hear(task.reservationIds);
  }

  /** Memory and others hear what became of these, whatever the clients were told; the slot stays taken until then. */
  private async hear(reservationIds: string[]): Promise<void> {
    const news = await untilRead(() => this.options.readSeats(reservationIds));
    for (const change of news) this.options.memory.learn(...change);
    if (news.length > 0) this.options.observer.changed(news);
  }

  private answer(pending: Pending, outcome: ChangeOutcome): void {
    for (const claim of pending.claims) this.inFlight.delete(claim);
    pending.resolve(outcome);
  }
}

/** Asked for again while the first one still runs in the server, with its locks and claims: nobody else's. */
const isHeldUp = ({ changes }: Exclude<ChangeResult, "doubtful">) =>
  changes.some(({ verdict }) => verdict === "claimed" || verdict === "undecided");

function outcomeOf(
  { action, key }: ChangeRequest,
  change: ChangeAnswer | undefined,
  wasLost: boolean,
): ChangeOutcome {
  switch (change?.verdict) {
    case "done":
      return change.facts ? { kind: "done", facts: change.facts } : { kind: "busy", reason: "unavailable" };
    case "missing":
    case "replayed":
    case "key_mismatch":
    case "over_limit":
      return { kind: change.verdict };
    case "refused":
      if (change.status === null || change.status === "void") return { kind: "missing" };
      // With a key it would be told as replayed: this is another's doing. (Seen: a confirmation of what was reserved at once.)
      if (wasLost && !key && change.facts && change.status === DONE_STATUS[action])
        return { kind: "done", facts: change.facts };
      if (change.status === "expired" && change.gone) return { kind: "gone", seatIds: change.gone };
      return { kind: "refused", status: change.status };
    case "gone":
      return { kind: "gone", seatIds: change.gone ?? [] };
    case "claimed":
      return { kind: "running" };
    case "again":
    case "capped":
    case "undecided":
    case undefined:
      return { kind: "busy", reason: "unavailable" };
    default:
      return change satisfies never;
  }
}
