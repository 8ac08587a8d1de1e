import fc from "fast-check";
import type { Answer, Asked, Change, History, Operation } from "./history.ts";
import type { LedgerRow } from "./house.ts";
import { Model, type Take } from "./model.ts";

export const SEATS = [1, 2, 3, 4];
export const HOLD_TTL_MS = 600_000;
/** The model's; extensions that would meet it are not asked for. */
const HOLD_LIMIT_MS = 1_800_000;

/** One request or one turn of the engine's own, with how its client comes to hear of it. */
interface Turn {
  what:
    | { do: "reserve"; seatId: number }
    | { do: "hold"; seatIds: number[]; hasKey: boolean }
    | { do: Change | "show"; nth: number }
    | { do: "look"; seatId: number }
    | { do: "sweep" };
  afterMs: number;
  calledEarlierMs: number;
  answeredLaterMs: number;
  fate: "answered" | "lost" | "never" | "given back" | "never, 503";
  saysContended: boolean;
}

const seatId = fc.constantFrom(...SEATS, 1);
const someSeats = fc.subarray(SEATS, { minLength: 1, maxLength: 3 });
const what: fc.Arbitrary<Turn["what"]> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("reserve" as const), seatId }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("hold" as const), seatIds: someSeats, hasKey: fc.boolean() }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom("confirm", "extend", "release", "cancel", "cancel", "show"),
      nth: fc.nat(2),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("look" as const), seatId }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("sweep" as const) }) },
);

/** Milliseconds, with holds that end in between now and then. */
const passing = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 1, max: 40 }) },
  { weight: 1, arbitrary: fc.constant(HOLD_TTL_MS + 1) },
);
const fates = {
  surely: fc.constant("answered" as const),
  doubtfully: fc.constantFrom(
    ...([
      "answered",
      "answered",
      "answered",
      "answered",
      "lost",
      "never",
      "given back",
      "never, 503",
    ] as const),
  ),
};

const turns = (fate: fc.Arbitrary<Turn["fate"]>) =>
  fc.array(
    fc.record({
      ...{ what, fate, afterMs: passing, saysContended: fc.boolean() },
      ...{
        calledEarlierMs: fc.integer({ min: 0, max: 60 }),
        answeredLaterMs: fc.integer({ min: 0, max: 60 }),
      },
    }),
    { minLength: 1, maxLength: 24, size: "max" },
  );

/** A history, and what the ledger says of it. */
export interface Sound {
  history: History;
  rows: LedgerRow[];
}

/** Sound by their making: requests that overlap, done one after another by the model of the reservations' own tests. */
export const soundRuns = (how: keyof typeof fates): fc.Arbitrary<Sound> => turns(fates[how]).map(simulate);

export const soundHistories = (how: keyof typeof fates): fc.Arbitrary<History> =>
  soundRuns(how).map(({ history }) => history);

function simulate(played: Turn[]): Sound {
  const simulation = new Simulation();
  for (const turn of played) simulation.play(turn);
  const operations = simulation.end();
  return { history: { holdTtlMs: HOLD_TTL_MS, operations }, rows: simulation.rows };
}

class Simulation {
  private readonly model = new Model(
    [[1, { cancellable: true, buyerLimit: null, status: "open", onSaleAt: null, offSaleAt: null }]],
    new Map(SEATS.map((id) => [id, 1])),
  );
  private readonly operations: Operation[] = [];
  /** Reservations that clients know of. */
  private readonly told: string[] = [];
  private untold: string[] = [];

  get rows(): LedgerRow[] {
    return this.model.ledger.map(([seatId, version, status, reservationId]) => ({
      ...{ seatId, version, status, reservationId },
    }));
  }

  play(turn: Turn): void {
    this.model.now += turn.afterMs;
    for (const reservationId of this.untold) {
      this.model.changeReservation({ do: "cancel", reservationId, key: null });
    }
    this.untold = [];
    if (turn.what.do === "sweep") {
      for (const id of this.model.due()) this.model.expire(id);
      return;
    }
    const asked = this.askedBy(turn.what);
    if (!asked) return;
    const isLook = asked.do === "look" || asked.do === "show";
    const isDone = isLook || turn.fate === "answered" || turn.fate === "lost" || turn.fate === "given back";
    const answer = isDone ? this.do(asked, turn) : undefined;
    this.hear(turn, asked, answer);
  }

  /** With a look at every seat. */
  end(): Operation[] {
    this.play({ ...QUIETLY, what: { do: "sweep" } });
    for (const seatId of SEATS) this.play({ ...QUIETLY, what: { do: "look", seatId } });
    return this.operations;
  }

  private hear(turn: Turn, asked: Asked, answer: Answer | undefined): void {
    const { now } = this.model;
    const heard: Answer =
      turn.fate === "answered" && answer
        ? answer
        : { kind: turn.fate === "lost" || turn.fate === "never" ? "unknown" : "busy" };
    this.operations.push({
      ...{ id: this.operations.length, asked, answer: heard },
      calledAtMs: now - turn.calledEarlierMs,
      returnedAtMs: heard.kind === "unknown" ? Number.POSITIVE_INFINITY : now + turn.answeredLaterMs,
    });
    if (heard.kind === "won" || (heard.kind === "held" && !heard.isReplay))
      this.told.push(heard.reservationId);
    if (heard.kind === "busy" && answer?.kind === "won") this.untold.push(answer.reservationId);
  }

  private askedBy(wanted: Turn["what"]): Asked | undefined {
    switch (wanted.do) {
      case "hold":
        return {
          do: "hold",
          seatIds: wanted.seatIds,
          key: wanted.hasKey ? `key of ${wanted.seatIds}` : null,
        };
      case "reserve":
      case "look":
        return wanted;
      case "sweep":
        return undefined;
      default: {
        const reservationId = this.told.at(-1 - wanted.nth);
        return reservationId && !this.meetsLimit(wanted.do, reservationId)
          ? wanted.do === "show"
            ? { do: "show", reservationId }
            : { do: wanted.do, reservationId, key: null }
          : undefined;
      }
    }
  }

  private meetsLimit(what: string, reservationId: string): boolean {
    const createdAt = this.model.made.get(reservationId)?.createdAt ?? 0;
    return what === "extend" && this.model.now + HOLD_TTL_MS > createdAt + HOLD_LIMIT_MS;
  }

  private do(asked: Asked, turn: Turn): Answer {
    switch (asked.do) {
      case "look": {
        const { status, version } = this.model.house.seat(asked.seatId);
        return { kind: "seat", status, version };
      }
      case "show": {
        const found = this.model.house.reservation(asked.reservationId);
        const isOver = found?.status === "held" && this.model.due().includes(asked.reservationId);
        return { kind: "reservation", status: isOver ? "expired" : (found?.status ?? "held") };
      }
      case "reserve":
        return this.take(asked, turn);
      case "hold": {
        const key = asked.key === null ? null : { key: asked.key, fingerprint: "same" };
        return this.take({ do: "hold", seatIds: asked.seatIds, buyerId: null, key }, turn);
      }
      default:
        return this.change(asked.do, asked.reservationId);
    }
  }

  private take(take: Take, { saysContended }: Turn): Answer {
    const reservationId = `reservation ${this.operations.length}`;
    const [outcome] = this.model.takeOutcomes(take, () => false) as {
      kind: string;
      seats?: Taken[];
      reason?: Taken["reason"];
    }[];
    if (outcome?.kind === "replayed" && take.do === "hold") {
      const kept = this.model.keys.get(`client:${take.key?.key}`)?.reservationId ?? "";
      return { kind: "held", reservationId: kept, expiresAtMs: this.endAtFirst(kept), isReplay: true };
    }
    if (outcome?.kind === "won" || outcome?.kind === "held") {
      this.model.take(take, reservationId);
      this.ends.set(reservationId, this.model.expiresAt(reservationId));
      return take.do === "reserve"
        ? { kind: "won", reservationId, version: this.model.house.seat(take.seatId).version }
        : { kind: "held", reservationId, expiresAtMs: this.endAtFirst(reservationId), isReplay: false };
    }
    const seats =
      take.do === "reserve"
        ? [{ seatId: take.seatId, reason: outcome?.reason ?? "held" }]
        : (outcome?.seats ?? []);
    return {
      kind: "taken",
      seats: saysContended ? seats.map((seat) => ({ ...seat, reason: "contended" })) : seats,
    };
  }

  private readonly ends = new Map<string, number>();
  private endAtFirst = (reservationId: string) => this.ends.get(reservationId) ?? 0;

  private change(action: Change, reservationId: string): Answer {
    const outcome = this.model.changeOutcome({ do: action, reservationId, key: null }) as Answer;
    if (outcome.kind === "done") {
      this.model.changeReservation({ do: action, reservationId, key: null });
      const expiresAtMs = this.model.expiresAt(reservationId);
      return action === "extend" ? { kind: "done", expiresAtMs } : { kind: "done" };
    }
    // What a cancellation is told of a hold is the same, whether it is over or not.
    if (action === "cancel" && outcome.kind === "refused" && outcome.status === "expired")
      return { kind: "refused", status: "held" };
    return outcome;
  }
}

type Taken = { seatId: number; reason: "reserved" | "held" | "contended" };

const QUIETLY: Omit<Turn, "what"> = {
  ...{ afterMs: 100, calledEarlierMs: 1, answeredLaterMs: 1, fate: "answered", saysContended: false },
};
