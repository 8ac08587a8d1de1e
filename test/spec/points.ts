import {
  type Asked,
  endOf,
  type History,
  madeBy,
  type Operation,
  overlap,
  seatsAsked,
  seatsOfReservations,
  type TakenReason,
} from "./history.ts";
import { type House, namelessKey, namelessOwner } from "./house.ts";

/** A request's effect, or one thing that its answer says: true at one moment between its call and its end. */
export interface Point {
  operation: Operation;
  seatIds: number[];
  /** The reservation it is about, or makes. */
  owner: string;
  /** One in doubt may have had no effect at all. */
  isOptional: boolean;
  /** The houses afterwards; none where it cannot be so now. What only looks gives the same house, later perhaps. */
  happens(house: House): House[];
}

/** An answer that no moment can explain is a point that never happens. */
export function pointsOf(history: History): Point[] {
  const context = contextOf(history);
  return history.operations.flatMap((operation) => {
    const { answer } = operation;
    const about = { operation, owner: context.ownerOf(operation), seatIds: context.seatsOf(operation) };
    const point = (happens: Point["happens"]): Point => ({ ...about, isOptional: false, happens });
    const effect = (house: House) => effectOf(context, operation, house);
    switch (answer.kind) {
      case "busy":
      case "unknown":
        return isChange(operation.asked) ? [{ ...point(effect), isOptional: true }] : [];
      case "won":
      case "done":
        return [point(effect)];
      case "held":
        // Two reservations of one key.
        if (answer.reservationId !== context.ownerOf(operation)) return [point(() => [])];
        if (!answer.isReplay) return [point(effect)];
        return [point((house) => (house.reservation(context.ownerOf(operation)) ? [house] : []))];
      case "taken":
        return answer.seats.flatMap(({ seatId, reason }) => {
          if (reason === "contended" && context.isMet(operation, seatId)) return [];
          return [{ ...point((house) => isTaken(house, seatId, reason, operation)), seatIds: [seatId] }];
        });
      case "running":
        return context.runsBeside(operation) ? [] : [point(() => [])];
      case "missing":
        return [point(() => [])];
      case "seat":
        return [point((house) => looksSo(house, operation, history))];
      case "refused":
      case "reservation":
      case "gone":
        return [point((house) => isAsTold(context, operation, house))];
      default:
        return answer satisfies never;
    }
  });
}

type Context = ReturnType<typeof contextOf>;

function contextOf(history: History) {
  const { operations, holdTtlMs, isFinal = false, ghostLockMs = 0 } = history;
  const ofReservations = seatsOfReservations(history);
  const seatsOf = ({ asked }: Operation) => seatsAsked(asked, ofReservations);
  const keyOf = ({ asked }: Operation) => (asked.do === "hold" ? asked.key : null);
  const idOfKey = new Map<string, string>();
  for (const operation of operations) {
    const [key, id] = [keyOf(operation), madeBy(operation)];
    if (key !== null && id !== undefined && !idOfKey.has(key)) idOfKey.set(key, id);
  }
  const endOfHold = new Map(
    operations.flatMap(({ answer }) =>
      answer.kind === "held" ? [[answer.reservationId, answer.expiresAtMs] as const] : [],
    ),
  );
  const ownerOf = (operation: Operation): string => {
    if ("reservationId" in operation.asked) return operation.asked.reservationId;
    const key = keyOf(operation);
    if (key === null) return madeBy(operation) ?? namelessOwner(operation.id);
    return idOfKey.get(key) ?? namelessKey(key);
  };
  /** To the ms as it is told; of what nobody was told, the earliest. */
  const endsOf = (toldMs: number | undefined, { calledAtMs }: Operation) =>
    toldMs === undefined
      ? { fromMs: calledAtMs + holdTtlMs, byMs: Number.POSITIVE_INFINITY }
      : { fromMs: toldMs, byMs: toldMs + 1 };
  const isRival = (operation: Operation, seatId: number) =>
    isChange(operation.asked) && seatsOf(operation).includes(seatId);

  return {
    ...{ seatsOf, ownerOf, endsOf, endOfHold, isFinal },
    /** Whether somebody was deciding on the seat meanwhile who did not lose to this very request. */
    isMet: (operation: Operation, seatId: number) =>
      metRivals(
        operations.filter((other) => isRival(other, seatId)),
        seatId,
        ghostLockMs,
      ).has(operation),
    runsBeside: (operation: Operation) =>
      operations.some((other) => {
        if (other === operation || !isChange(other.asked) || !overlap(operation, other)) return false;
        const key = keyOf(operation);
        return key === null ? ownerOf(other) === ownerOf(operation) : keyOf(other) === key;
      }),
    extendsBeside: (operation: Operation) =>
      operations.some(
        (other) =>
          other !== operation &&
          other.asked.do === "extend" &&
          ownerOf(other) === ownerOf(operation) &&
          overlap(operation, other),
      ),
  };
}

/**
 * Those of a seat's rivals who met another one. A rival that lost to one that itself lost is right; but
 * in the end there must be one who did not lose for being a rival.
 */
function metRivals(rivals: Operation[], seatId: number, ghostLockMs: number): Set<Operation> {
  const isLoser = ({ answer }: Operation) =>
    answer.kind === "taken" &&
    answer.seats.some((seat) => seat.seatId === seatId && seat.reason === "contended");
  const met = new Set<Operation>();
  const reached = rivals.filter((rival) => !isLoser(rival));
  for (const one of reached) {
    for (const other of rivals) {
      const isMetBy = one.calledAtMs <= endOf(other) && other.calledAtMs <= endOf(one) + ghostLockMs;
      if (other === one || met.has(other) || !isMetBy) continue;
      met.add(other);
      if (isLoser(other)) reached.push(other);
    }
  }
  return met;
}

const isChange = ({ do: what }: Asked) => what !== "look" && what !== "show";

/** Two in doubt of which it does not matter which had its effect; the earlier fits wherever the later does. */
export const areAlike = (one: Point, other: Point) =>
  one.operation.answer.kind === other.operation.answer.kind &&
  Bun.deepEquals(one.operation.asked, other.operation.asked);

/** The houses that a request leaves behind when it has its effect now. */
function effectOf(context: Context, operation: Operation, house: House): House[] {
  const { asked, answer, calledAtMs } = operation;
  const owner = context.ownerOf(operation);
  const orNone = (after: House | undefined) => (after ? [after] : []);
  const isUntold = answer.kind === "busy";
  switch (asked.do) {
    case "reserve": {
      const { seatId } = asked;
      const after = house.take({ owner, seatIds: [seatId], status: "RESERVED", calledAtMs, isUntold });
      if (answer.kind === "won" && after?.seat(seatId).version !== answer.version) return [];
      return orNone(after);
    }
    case "hold": {
      const told = answer.kind === "held" ? answer.expiresAtMs : context.endOfHold.get(owner);
      const ends = context.endsOf(told, operation);
      const { seatIds } = asked;
      return orNone(house.take({ owner, seatIds, status: "HELD", calledAtMs, ends, isUntold: false }));
    }
    case "confirm":
      return house.confirm(owner, calledAtMs);
    case "extend": {
      const told = answer.kind === "done" ? answer.expiresAtMs : undefined;
      return orNone(house.extend(owner, calledAtMs, context.endsOf(told, operation)));
    }
    case "release":
      return orNone(house.release(owner, calledAtMs));
    case "cancel":
      return context.isFinal ? [] : orNone(house.cancel(owner, calledAtMs));
    case "look":
    case "show":
      return [];
    default:
      return asked satisfies never;
  }
}

function isTaken(house: House, seatId: number, reason: TakenReason, { calledAtMs }: Operation): House[] {
  const { status, owner } = house.seat(seatId);
  if (reason === "contended") return status === "available" ? [] : [house];
  if (status !== reason) return [];
  const holder = house.reservation(owner ?? "");
  return status === "reserved" || (holder && house.lives(holder, calledAtMs)) ? [house] : [];
}

function looksSo(house: House, { asked, answer, calledAtMs }: Operation, { settledAtMs }: History): House[] {
  if (asked.do !== "look" || answer.kind !== "seat") return [];
  if (house.owes && settledAtMs !== undefined && calledAtMs >= settledAtMs) return [];
  const { status, version } = house.seat(asked.seatId);
  return status === answer.status && version === answer.version ? [house] : [];
}

/** What is said of a reservation's status. */
function isAsTold(context: Context, operation: Operation, house: House): House[] {
  const { asked, answer, calledAtMs } = operation;
  const owner = context.ownerOf(operation);
  const found = house.reservation(owner);
  if (!found) return [];
  const over = house.whenOver(found);
  if (answer.kind === "gone") {
    const areGone = answer.seatIds.every((seatId) => {
      const seat = house.seat(seatId);
      return (
        seat.owner !== owner &&
        (isTaken(house, seatId, "reserved", operation).length > 0 ||
          isTaken(house, seatId, "held", operation).length > 0)
      );
    });
    return over && areGone && answer.seatIds.length > 0 ? [over] : [];
  }
  if (answer.kind !== "refused" && answer.kind !== "reservation") return [];
  const isSo = found.status === answer.status && (found.status !== "held" || house.lives(found, calledAtMs));
  if (answer.kind === "refused" && isSo && !mayRefuse(context, operation)) return [];
  if (isSo) return [house];
  // A cancellation is told the same of a hold, whether it is over or not.
  const isOver = answer.status === "expired" || (asked.do === "cancel" && answer.status === "held");
  const mayBeOver = answer.kind === "reservation" || asked.do !== "confirm";
  return isOver && mayBeOver && over ? [over] : [];
}

/** Whether a reservation that is in the status that is told may be refused the change at all. */
function mayRefuse(context: Context, operation: Operation): boolean {
  const { asked, answer } = operation;
  if (answer.kind !== "refused") return false;
  switch (asked.do) {
    case "confirm":
      // One that is over may be confirmed too, or is told which seats are gone.
      return answer.status !== "held" && answer.status !== "expired";
    case "extend":
      // Of two that begin in the same instant, the second would make it no longer.
      return answer.status !== "held" || context.extendsBeside(operation);
    case "release":
      return answer.status !== "held";
    case "cancel":
      return answer.status !== "confirmed" || context.isFinal;
    default:
      return false;
  }
}
