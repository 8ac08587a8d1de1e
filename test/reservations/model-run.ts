import { expect } from "bun:test";
import { expectSound } from "../fixtures/sound.ts";
import type { Sale } from "../postgres/sale.ts";
import { type Model, scopeOfChange, type Take } from "../spec/model.ts";
import * as engine from "./model-engine.ts";
import { type Answer, type Asked, claimsOf, explain, factsIn, type Request } from "./model-groups.ts";
import type { Step, Request as StepRequest } from "./model-steps.ts";

const NOBODYS = "00000000-0000-7000-8000-000000000000";
/** Between the clocks of the test and of Postgres, and for ticks of the model that took no time. */
const SLACK_MS = 1000;

/** A sequence of steps, done by the engine and by the model. */
export class Run {
  private readonly processes: engine.EngineProcess[];
  private readonly startedAt = Date.now();
  private waitedMs = 0;
  /** To the newest requests, in words. */
  answers = "";
  /** Ends of holds as the engine told them, on a clock that nobody puts forward; null for none. */
  private readonly ends = new Map<string, number | null>();
  /** What answered keys must be answered with again. */
  private readonly replays = new Map<string, { reservationId: string; end: number | null }>();

  private constructor(
    private readonly sale: Sale,
    public model: Model,
  ) {
    this.processes = [engine.openProcess(sale.pool), engine.openProcess(sale.pool)];
  }

  static async begin(sale: Sale, model: Model): Promise<Run> {
    await engine.prepare(sale, model);
    return new Run(sale, model);
  }

  async step(step: Step): Promise<void> {
    switch (step.do) {
      case "wait":
        this.model.now += step.forMs;
        this.waitedMs += step.forMs;
        return engine.advance(this.sale, step.forMs);
      case "sell": {
        const event = this.model.eventOf(step.eventId);
        const at = (inMs: number | null) => (inMs === null ? null : this.model.now + inMs);
        Object.assign(event, {
          ...{ status: step.status, onSaleAt: at(step.onSaleInMs), offSaleAt: at(step.offSaleInMs) },
        });
        return engine.sell(this.sale, this.model, step.eventId, event);
      }
      case "ask":
        return this.ask(step.group);
      default:
        return step satisfies never;
    }
  }

  private async ask(group: StepRequest[]): Promise<void> {
    const before = this.model;
    before.now++;
    const requests = group.map((asked) => this.requestOf(asked));
    const answers = await Promise.all(
      requests.map(async (request, index) => ({ request, answer: await this.send(group[index], request) })),
    );
    this.answers = answers.map(({ answer }) => wordFor(answer)).join("; ");
    const real = await engine.realPicture(this.sale);
    const explained = explain(before, answers, (after) => Bun.deepEquals(engine.pictureOf(after), real));
    if (!explained) throw new Error(unexplained(before, answers, real));
    this.model = explained.after;
    this.expectProgress(before, answers);
    for (const asked of explained.order) await this.expectFacts(asked);
    this.expectTrueMemory();
  }

  /** Everything that was done, as the ledger, other processes and observers of the whole hear of it. */
  async end(): Promise<void> {
    expect(await engine.realLedger(this.sale)).toEqual(engine.ledgerOf(this.model));
    const heard = this.processes.flatMap((process) => process.heard);
    expect(heard.toSorted((one, other) => one.seatId - other.seatId || one.version - other.version)).toEqual(
      engine.changesToHear(this.model),
    );
    await expectSound(this.sale.url);
  }

  /** It may be behind; where it is not, it says what is so, and what is gone stays so. */
  private expectTrueMemory(): void {
    for (const { memory } of this.processes) {
      for (const seatId of this.model.eventOfSeat.keys()) {
        const { version, status } = this.model.house.seat(seatId);
        const lag = version - memory.versionOf(seatId);
        expect([seatId, lag >= 0]).toEqual([seatId, true]);
        if (memory.isGone(seatId)) expect([seatId, this.model.isFinal(seatId)]).toEqual([seatId, true]);
        if (lag > 0) continue;
        if (memory.isAvailable(seatId)) expect([seatId, this.model.isFree(seatId)]).toEqual([seatId, true]);
        else expect([seatId, status]).not.toEqual([seatId, "available"]);
      }
    }
  }

  private requestOf(asked: StepRequest): Request {
    switch (asked.do) {
      case "sweep":
        return { sweep: true };
      case "reserve":
      case "hold": {
        const { process, ...take } = asked;
        const seatIds = take.do === "hold" ? take.seatIds : [take.seatId];
        return { take, gone: seatIds.filter((seatId) => this.processes[process]?.memory.isGone(seatId)) };
      }
      default: {
        const reservationId = [...this.model.made.keys()].at(-1 - asked.nth) ?? NOBODYS;
        const key = asked.key === null ? null : { key: asked.key, fingerprint: asked.do };
        return { change: { do: asked.do, reservationId, key } };
      }
    }
  }

  private async send(asked: StepRequest | undefined, request: Request): Promise<Answer> {
    const process = this.processes[asked?.process ?? 0];
    if (!process) throw new Error("there are two processes");
    if ("sweep" in request) return { kind: "swept", ids: await process.sweep() };
    if ("change" in request) {
      const { do: action, reservationId } = request.change;
      return process.changes.change({ reservationId, action, key: claimOf(request) });
    }
    const { take } = request;
    if (take.do === "reserve") return process.batcher.reserve(engine.seatIdOf(take.seatId));
    const seatIds = take.seatIds.map(engine.seatIdOf);
    return process.batcher.hold({ seatIds, buyerId: take.buyerId, key: claimOf(request) });
  }

  /** Of those who want nothing but one free seat, one gets it. */
  private expectProgress(before: Model, answers: Asked[]): void {
    for (const [seatId, eventId] of before.eventOfSeat) {
      const rivals = answers.filter((asked) => claimsOf(before, asked.request).includes(`seat ${seatId}`));
      const areAlone = rivals.every(
        ({ request }) => "take" in request && (request.take.do === "reserve" || isPlain(request.take)),
      );
      const { buyerLimit } = before.eventOf(eventId);
      if (rivals.length === 0 || !areAlone || buyerLimit !== null) continue;
      if (!before.isFree(seatId) || !before.isOnSale(before.eventOf(eventId))) continue;
      const winners = rivals.filter(({ answer }) => answer.kind === "won" || answer.kind === "held");
      expect([seatId, winners.length]).toEqual([seatId, 1]);
    }
  }

  private async expectFacts({ request, answer }: Asked): Promise<void> {
    const key = claimOf(request);
    const place = `${key?.scope} ${key?.key}`;
    if (answer.kind === "replayed" && key) {
      const facts = await engine.replayOf(this.sale, key);
      if (facts === "key_mismatch") throw new Error("replayed, yet kept for another request");
      const kept = this.replays.get(place);
      expect({ id: facts?.reservationId, end: this.endIn(facts?.expiresAtMs) }).toEqual({
        ...{ id: kept?.reservationId, end: kept?.end ?? null },
      });
      return;
    }
    if (answer.kind === "won") this.ends.set(answer.reservationId, null);
    const facts = factsIn(answer);
    if (!facts) return;
    const { reservationId } = facts;
    expect(facts.pricesMinor).toEqual(facts.seatIds.map(engine.priceOf));
    const end = this.endIn(facts.expiresAtMs);
    const known = this.ends.get(reservationId);
    const isNew = known === undefined || ("change" in request && request.change.do === "extend");
    if (!isNew) expect(end).toBe(known);
    else this.expectEnd(reservationId, end);
    // Of two extensions at the same moment the model may have taken the later one first: both orders explain them.
    this.ends.set(reservationId, isNew && known != null && end !== null ? Math.max(known, end) : end);
    if (key) this.replays.set(place, { reservationId, end });
  }

  /** The model's clock stands still while the engine works. */
  private expectEnd(reservationId: string, end: number | null): void {
    const late = (end ?? 0) - this.startedAt - this.model.expiresAt(reservationId);
    expect(late).toBeWithin(-SLACK_MS, Date.now() - this.startedAt + SLACK_MS);
  }

  private endIn = (expiresAtMs: number | null | undefined) =>
    expiresAtMs == null ? null : expiresAtMs + this.waitedMs;
}

const isPlain = (take: Take) =>
  take.do === "hold" && take.seatIds.length === 1 && take.buyerId === null && take.key === null;

function claimOf(request: Request) {
  if ("sweep" in request) return null;
  const scope = "take" in request ? "client" : scopeOfChange(request.change.reservationId);
  const key = "change" in request ? request.change.key : request.take.do === "hold" ? request.take.key : null;
  return key && { scope, ...key };
}

function wordFor(answer: Answer): string {
  switch (answer.kind) {
    case "taken":
      return `taken ${("seats" in answer ? answer.seats : [answer]).map(({ seatId, reason }) => `${seatId} ${reason}`).join()}`;
    case "missing":
      return "seatIds" in answer ? `missing ${answer.seatIds}` : "missing";
    case "closed":
      return `closed ${answer.why}`;
    case "refused":
      return `refused ${answer.status}`;
    case "gone":
      return `gone ${answer.seatIds}`;
    case "swept":
      return `swept ${answer.ids.length}`;
    default:
      return answer.kind;
  }
}

/** For a reader of the failure; `alone` is the answer that each would have had if asked alone. */
function unexplained(before: Model, answers: Asked[], real: unknown): string {
  const lines = answers.map(({ request, answer }) => ({
    request,
    answer,
    alone: rightAnswer(before, request),
  }));
  const told = [...lines, { before: engine.pictureOf(before) }, { after: real }].map((line) =>
    JSON.stringify(line),
  );
  return `no order of these explains their answers and what they left:\n${told.join("\n")}`;
}

function rightAnswer(model: Model, request: Request): unknown {
  if ("sweep" in request) return { kind: "swept", ids: model.due() };
  if ("change" in request) return model.changeOutcome(request.change);
  return model.takeOutcomes(request.take, (seatId) => request.gone.includes(seatId))[0];
}
