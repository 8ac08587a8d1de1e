import type { ReservationFacts } from "../../src/postgres/change.ts";
import type { ChangeOutcome, HoldOutcome, Outcome } from "../../src/reservations/outcome.ts";
import { type Change, type Model, scopeOfChange, type Take } from "../spec/model.ts";

/** What is asked of the engine; `gone`: the seats of it that memory of the process asked calls gone. */
export type Request =
  | { take: Take; gone: number[] }
  | { change: Change }
  /** The sweeper's turn. */
  | { sweep: true };

export type Answer = Outcome | HoldOutcome | ChangeOutcome | { kind: "swept"; ids: string[] };

export interface Asked {
  request: Request;
  answer: Answer;
}

/**
 * Explains the answers to requests of one moment by the model, which takes one after another: those that
 * changed something happened in some order, and end in `picture`; every other is right at some point of it,
 * or met another of them that wanted the same. A request alone has one right answer.
 * @returns the model afterwards and the requests in order; undefined when there is no such order
 */
export function explain(
  model: Model,
  group: Asked[],
  fits: (after: Model) => boolean,
): { after: Model; order: Asked[] } | undefined {
  const winners = group.filter(({ answer }) => changed(answer));
  for (const order of permutations(winners)) {
    const moments = [model];
    const after = model.copy();
    const isPossible = order.every((asked) => {
      if (!isRight(after, asked)) return false;
      apply(after, asked);
      moments.push(after.copy());
      // The next is decided a little later: of two extensions of one hold, the second moves its end once more.
      after.now++;
      return true;
    });
    if (!isPossible || !fits(after)) continue;
    const others = group.filter((asked) => !winners.includes(asked));
    const isExplained = (asked: Asked) =>
      moments.some((at) => isRight(at, asked)) || isExcused(moments, group, asked);
    if (others.every(isExplained) && order.every((asked) => isComplete(model, group, asked)))
      return { after, order: [...order, ...others] };
  }
  return undefined;
}

export const factsIn = (answer: Answer): ReservationFacts | undefined =>
  answer.kind === "held" || answer.kind === "done" ? answer.facts : undefined;

const changed = (answer: Answer) =>
  ["won", "held", "done"].includes(answer.kind) || (answer.kind === "swept" && answer.ids.length > 0);

/** Without the ids and times that only the database can know. */
function withoutIds(answer: Answer): object {
  const facts = factsIn(answer);
  if (facts) return { kind: answer.kind, eventId: facts.eventId, seatIds: facts.seatIds };
  if (answer.kind !== "won") return answer;
  const { reservationId: _, ...rest } = answer;
  return rest;
}

function isRight(model: Model, { request, answer }: Asked): boolean {
  if ("sweep" in request) {
    if (answer.kind !== "swept") return false;
    const due = model.due();
    // The others of those that are due: `isComplete`.
    return answer.ids.every((id) => due.includes(id)) && (answer.ids.length > 0 || due.length === 0);
  }
  const right =
    "take" in request
      ? model.takeOutcomes(request.take, (seatId) => request.gone.includes(seatId))
      : [model.changeOutcome(request.change)];
  return right.some((outcome) => Bun.deepEquals(outcome, withoutIds(answer), true));
}

function apply(model: Model, { request, answer }: Asked): void {
  if ("sweep" in request) {
    if (answer.kind === "swept") for (const id of answer.ids) model.expire(id);
  } else if ("change" in request) model.changeReservation(request.change);
  else {
    const id = answer.kind === "won" ? answer.reservationId : factsIn(answer)?.reservationId;
    model.take(request.take, id ?? "");
  }
}

/** What a request may meet another one at. */
export function claimsOf(model: Model, request: Request): string[] {
  const ofReservation = (id: string) => [
    id,
    ...(model.house.reservation(id)?.seatIds.map((seatId) => `seat ${seatId}`) ?? []),
  ];
  if ("sweep" in request) return model.due().flatMap(ofReservation);
  if ("change" in request) {
    const { reservationId, key } = request.change;
    const buyerId = model.made.get(reservationId)?.buyerId;
    return [
      ...ofReservation(reservationId),
      ...(buyerId ? [`buyer ${buyerId}`] : []),
      ...(key ? [`key ${scopeOfChange(reservationId)} ${key.key}`] : []),
    ];
  }
  const { take } = request;
  if (take.do === "reserve") return [`seat ${take.seatId}`];
  return [
    ...take.seatIds.map((seatId) => `seat ${seatId}`),
    ...(take.buyerId ? [`buyer ${take.buyerId}`] : []),
    ...(take.key ? [`key client ${take.key.key}`] : []),
  ];
}

const claimsOfOthers = (model: Model, group: Asked[], asked: Asked) =>
  new Set(group.filter((other) => other !== asked).flatMap(({ request }) => claimsOf(model, request)));

/** Whether it met another one of the group, and says no more than that. */
function isExcused(moments: Model[], group: Asked[], asked: Asked): boolean {
  const [model] = moments;
  if (!model) return false;
  const { request, answer } = asked;
  const others = claimsOfOthers(model, group, asked);
  const met = claimsOf(model, request).filter((claim) => others.has(claim));
  const isContended = (seatId: number) => met.includes(`seat ${seatId}`);
  switch (answer.kind) {
    case "running":
      return met.some((claim) => !claim.startsWith("seat"));
    case "busy":
      return answer.reason === "unavailable" && met.length > 0;
    case "taken": {
      const seats = "seats" in answer ? answer.seats : [answer];
      return (
        seats.some(({ reason }) => reason === "contended") &&
        seats.every(({ seatId, reason }) =>
          reason === "contended"
            ? isContended(seatId)
            : moments.some((at) => !at.isFree(seatId) && at.house.seat(seatId).status === reason),
        )
      );
    }
    case "swept":
      return isComplete(model, group, asked);
    default:
      return false;
  }
}

/** A sweep leaves out only what others are about. */
function isComplete(model: Model, group: Asked[], asked: Asked): boolean {
  const { answer } = asked;
  if (answer.kind !== "swept") return true;
  const others = claimsOfOthers(model, group, asked);
  return model
    .due()
    .filter((id) => !answer.ids.includes(id))
    .every((id) =>
      claimsOf(model, { change: { do: "release", reservationId: id, key: null } }).some((claim) =>
        others.has(claim),
      ),
    );
}

function permutations<T>(list: T[]): T[][] {
  if (list.length <= 1) return [list];
  return list.flatMap((first, index) =>
    permutations(list.filter((_, other) => other !== index)).map((rest) => [first, ...rest]),
  );
}
