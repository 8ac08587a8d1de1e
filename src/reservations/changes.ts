import type { CallerKind, ChangeAction } from "../postgres/change.ts";
import { claimOfKey, type KeyClaim } from "../postgres/claims.ts";
import { assert, at, never } from "../runtime/assert.ts";
import type { ChangeAnswer, ChangeResult, RecallResult, ReservationTask } from "../threads/messages.ts";
import { type BusyReason, CHANGE_VERDICTS } from "../venue/outcome.ts";
import type { SeatChange } from "../venue/seat-events.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import { Gatherer } from "./gatherer.ts";
import type { ChangeOutcome } from "./outcome.ts";
import { untilRead, untilSettled } from "./recovery.ts";
import { changesOf, learnChanges } from "./seat-changes.ts";

/**
 * How long an extension waits for its caller's claim, if the seats that callers hold are limited. All clients at one
 * address are the same caller, and each of their holds keeps the claim for the time of a commit. A thread makes only a
 * few attempts in a row, and may find the claim taken each time.
 */
const CLAIM_WAIT_MS = 500;
/** The longest random pause before the next attempt; random, so that two waiting requests do not meet again and again. */
const CLAIM_PAUSE_LIMIT_MS = 5;

export interface ChangesOptions {
  memory: SeatMemory;
  /** Hands a batch to a worker thread. Rejects if the thread died. */
  run<Result>(task: ReservationTask): Promise<Result>;
  /** Reads the seats of these reservations after changes whose clients were told to try again. */
  readSeats(reservationIds: string[]): Promise<SeatChange[]>;
  /** Maximum number of batches that run at once. */
  slotCount: number;
  batchLimitReservations: number;
  /** The kinds of callers for whom the number of held seats is limited. */
  limitedCallers?: CallerKind[];
  queueLimitReservations: number;
  observer: ChangesObserver;
}

interface ChangesObserver {
  /** Called when these seats have changed; memory already knows. */
  changed(seatChanges: SeatChange[]): void;
  decided(count: number, transactionMs: number): void;
  /** Called when an answer was lost (`doubtful`) or the database cannot be asked (`away`). */
  trouble(kind: "doubtful" | "away"): void;
}

export interface ChangeRequest {
  reservationId: string;
  action: OwnerAction;
  key: KeyClaim | null;
  /** The administrator's act that asks for the change. */
  actId?: number;
}

/** The changes that a reservation's owner may ask for. Only the sweeper expires reservations. */
export type OwnerAction = Exclude<ChangeAction, "expire">;

interface Pending extends ChangeRequest {
  claims: string[];
  /** The change may be repeated until this time, while another request has a claim that it needs. */
  waitsUntil: number;
  /** Attempts whose answers were lost and whose outcome is not known yet. */
  lostChangeIds: string[];
  resolve(outcome: ChangeOutcome): void;
}

/**
 * Changes reservations: confirm, release, extend and cancel go in batches to the worker threads. A reservation is in
 * flight from arrival to answer. Another request for it meanwhile is answered `running`.
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

  /** The number of batches that a worker is running. */
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
      const waitsUntil = this.mayWait(request) ? performance.now() + CLAIM_WAIT_MS : 0;
      this.gatherer.add({ ...request, claims, waitsUntil, lostChangeIds: [], resolve });
    });
  }

  private mayWait({ action }: ChangeRequest): boolean {
    return action === "extend" && (this.options.limitedCallers?.length ?? 0) > 0;
  }

  /** Works like `Batcher.refuse`. */
  refuse(reason: BusyReason | undefined): void {
    this.gatherer.refuse(reason);
  }

  drained(): Promise<void> {
    return this.gatherer.drained();
  }

  private async decide(batch: Pending[], answered: () => void): Promise<void> {
    const result = await this.attempt(batch);
    answered();
    if (result !== "doubtful") return this.askAgain(this.deliver(answersTo(batch, result), result));
    this.options.observer.trouble("doubtful");
    await this.settle(batch);
  }

  /** Asks for the changes once, under new ids. */
  private async attempt(batch: Pending[]): Promise<ChangeResult> {
    const changes = batch.map(({ reservationId, action, key, actId }) => ({
      ...{ reservationId, action, key, actId },
      changeId: Bun.randomUUIDv7() as string,
    }));
    const { limitedCallers } = this.options;
    const result = await this.options
      .run<ChangeResult>({ kind: "change", changes, ...(limitedCallers && { limitedCallers }) })
      .then((answer) => {
        assert(
          answer === "doubtful" || answer.changes.length === changes.length,
          "a batch is answered for each of its changes",
        );
        return answer;
      })
      .catch((): ChangeResult => "doubtful");
    if (result === "doubtful") {
      for (const [index, pending] of batch.entries())
        pending.lostChangeIds.push(at(changes, index, "an attempt").changeId);
    }
    return result;
  }

  /**
   * Looks up each change whose answer was lost by its id. A change that was committed is answered as a success,
   * whatever has happened to the reservation since. The others can never be committed any more, and are asked for
   * again. Past the deadline the clients are told to try again and nothing more is done for them, but the outcome of
   * the lost attempts is still found out.
   */
  private async settle(batch: Pending[]): Promise<void> {
    let open = batch;
    const { notified } = await untilSettled<Pending[]>({
      ask: async (isNotified) => {
        open = await this.recall(open, isNotified);
        if (!isNotified) open = await this.repeat(open);
        return open;
      },
      isSettled: (left) => left.length === 0,
      giveUp: () => {
        for (const pending of open) this.answer(pending, { kind: "busy", reason: "unavailable" });
        return true;
      },
    });
    if (notified) await this.hear(batch.map(({ reservationId }) => reservationId));
  }

  /**
   * Looks up the lost attempts of these changes.
   * @returns the changes that need another look or, while their clients still wait, another attempt.
   */
  private async recall(open: Pending[], isNotified: boolean): Promise<Pending[]> {
    const lost = open.flatMap((pending) => pending.lostChangeIds.map((changeId) => ({ pending, changeId })));
    if (lost.length === 0) return isNotified ? [] : open;
    const result = await this.options
      .run<RecallResult>({
        kind: "recall",
        changes: lost.map(({ pending: { reservationId }, changeId }) => ({ reservationId, changeId })),
      })
      .catch((): RecallResult => "away");
    if (result === "away") return open;
    const done = new Set<Pending>();
    const seatChanges: SeatChange[] = [];
    for (const [index, { pending, changeId }] of lost.entries()) {
      const change = at(result.changes, index, "what became of an attempt");
      if (change.kind === "running") continue;
      pending.lostChangeIds = pending.lostChangeIds.filter((id) => id !== changeId);
      if (change.kind === "never") continue;
      done.add(pending);
      seatChanges.push(...changesOf(pending.action, change));
      if (!isNotified) this.answer(pending, { kind: "done", facts: change.facts });
    }
    this.spread(seatChanges);
    return open.filter((pending) => !done.has(pending) && (!isNotified || pending.lostChangeIds.length > 0));
  }

  /**
   * Asks again for the changes that have no attempt in doubt.
   * @returns the changes that still have no answer.
   */
  private async repeat(open: Pending[]): Promise<Pending[]> {
    const ready = open.filter(({ lostChangeIds }) => lostChangeIds.length === 0);
    if (ready.length === 0) return open;
    const result = await this.attempt(ready);
    if (result === "doubtful") return open;
    // A lost attempt may still run in the server and hold these up with its locks and claims.
    const answers = answersTo(ready, result);
    const heldUp = new Set(answers.filter(({ change }) => isHeldUp(change)).map(({ pending }) => pending));
    this.deliver(
      answers.filter(({ pending }) => !heldUp.has(pending)),
      result,
    );
    return open.filter((pending) => heldUp.has(pending) || pending.lostChangeIds.length > 0);
  }

  /**
   * Adds the changes to the next batch, with the requests that have arrived meanwhile. The rest of their batch is
   * already answered.
   */
  private async askAgain(waiting: Pending[]): Promise<void> {
    if (waiting.length === 0) return;
    await Bun.sleep(Math.random() * CLAIM_PAUSE_LIMIT_MS);
    const { isRefusing } = this.gatherer;
    for (const pending of waiting) {
      if (isRefusing === "unavailable") this.answer(pending, { kind: "busy", reason: isRefusing });
      else this.gatherer.add(pending);
    }
  }

  /**
   * Answers the changes that are decided.
   * @returns the changes that wait for a claim and have no answer yet.
   */
  private deliver(answers: Answered[], result: Exclude<ChangeResult, "doubtful">): Pending[] {
    const { observer } = this.options;
    if (result.databaseAway) observer.trouble("away");
    const seatChanges: SeatChange[] = [];
    const waiting: Pending[] = [];
    for (const { pending, change } of answers) {
      if (change.verdict === "claimed" && performance.now() < pending.waitsUntil) {
        waiting.push(pending);
        continue;
      }
      if ("seats" in change) seatChanges.push(...changesOf(pending.action, change));
      this.answer(pending, outcomeOf(change));
    }
    this.spread(seatChanges);
    observer.decided(answers.length - waiting.length, result.transactionMs);
    return waiting;
  }

  private spread(seatChanges: SeatChange[]): void {
    learnChanges(this.options.memory, seatChanges);
    if (seatChanges.length > 0) this.options.observer.changed(seatChanges);
  }

  /**
   * Tells memory and other processes the outcome of these changes, whatever the clients were told. The slot stays taken
   * until then.
   */
  private async hear(reservationIds: string[]): Promise<void> {
    this.spread(await untilRead(() => this.options.readSeats(reservationIds)));
  }

  private answer(pending: Pending, outcome: ChangeOutcome): void {
    for (const claim of pending.claims) this.inFlight.delete(claim);
    pending.resolve(outcome);
  }
}

interface Answered {
  pending: Pending;
  change: ChangeAnswer;
}

const answersTo = (batch: Pending[], { changes }: Exclude<ChangeResult, "doubtful">): Answered[] =>
  batch.map((pending, index) => ({ pending, change: at(changes, index, "the answer to a change") }));

const isHeldUp = ({ verdict }: ChangeAnswer) => verdict === "claimed" || verdict === "undecided";

function outcomeOf(change: ChangeAnswer): ChangeOutcome {
  switch (change.verdict) {
    case "done":
      assert(change.facts !== null, "an owner's change names its reservation");
      return { kind: "done", facts: change.facts };
    case "missing":
    case "replayed":
    case "key_mismatch":
    case "over_limit":
    case "stopped":
      return { kind: change.verdict };
    case "refused":
      assert(
        change.status !== null && change.status !== "void",
        "a reservation that is refused has a status",
      );
      if (change.status === "expired" && change.gone) return { kind: "gone", seatIds: change.gone };
      return { kind: "refused", status: change.status };
    case "gone":
      assert(change.gone !== null, "seats that others have are named");
      return { kind: "gone", seatIds: change.gone };
    case "claimed":
      return { kind: CHANGE_VERDICTS.claimed.outcome };
    case "again":
    case "capped":
    case "undecided":
      return { kind: CHANGE_VERDICTS[change.verdict].outcome, reason: "unavailable" };
    default:
      return never(change, "verdict of a change");
  }
}
