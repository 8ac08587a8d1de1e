/**
 * What a client asks of seats. A hold with a key may be asked again, and has one effect all the same; a
 * change with a key is asked once.
 */
export type Asked =
  | { do: "reserve"; seatId: number }
  | { do: "hold"; seatIds: number[]; key: string | null }
  | { do: Change; reservationId: string; key: string | null }
  | { do: "look"; seatId: number }
  | { do: "show"; reservationId: string };

export type Change = "confirm" | "extend" | "release" | "cancel";
export type SeatStatus = "available" | "held" | "reserved";
export type ReservationStatus = "held" | "confirmed" | "released" | "expired" | "cancelled";
export type TakenReason = "reserved" | "held" | "contended";

/** What the client was told. */
export type Answer =
  | { kind: "won"; reservationId: string; version: number }
  | { kind: "held"; reservationId: string; expiresAtMs: number; isReplay: boolean }
  /** `expiresAtMs` after an extension. */
  | { kind: "done"; expiresAtMs?: number }
  /** Each of these seats at some moment of the request. */
  | { kind: "taken"; seats: { seatId: number; reason: TakenReason }[] }
  /** A change that the reservation's status does not allow. */
  | { kind: "refused"; status: ReservationStatus }
  /** The hold is over, and others have these seats of it. */
  | { kind: "gone"; seatIds: number[] }
  /** The same reservation or key is being decided on. */
  | { kind: "running" }
  | { kind: "missing" }
  | { kind: "seat"; status: SeatStatus; version: number }
  | { kind: "reservation"; status: ReservationStatus }
  /** 503: it may have been done, or be done still; what was reserved is given back. */
  | { kind: "busy" }
  /** No answer came: it was done at any moment after the call, or never. */
  | { kind: "unknown" };

/** One request of one client, with the clock's time at both its ends. */
export interface Operation {
  id: number;
  asked: Asked;
  calledAtMs: number;
  /** Infinity where no answer came. */
  returnedAtMs: number;
  answer: Answer;
}

export interface History {
  /** How long a hold lasts from when it was taken or extended. */
  holdTtlMs: number;
  /** Whether the event takes nothing back: then nobody may cancel. */
  isFinal?: boolean;
  /**
   * How long after a request's answer its lock may still be met: one that its holder could not free is believed so
   * long. 0 where every lock could be freed.
   */
  ghostLockMs?: number;
  /** Nothing is running any more: a later request finds no seat with a buyer who was told 503. */
  settledAtMs?: number;
  /** In no order. Every seat begins available, at version 0. */
  operations: Operation[];
}

/** Whether the client cannot know what became of it. */
const isDoubtful = ({ answer }: Operation) => answer.kind === "busy" || answer.kind === "unknown";

/** What a request's end was at the latest: one in doubt may be at work for ever. */
export const endOf = (operation: Operation) =>
  isDoubtful(operation) ? Number.POSITIVE_INFINITY : operation.returnedAtMs;

export const overlap = (one: Operation, other: Operation) =>
  one.calledAtMs <= endOf(other) && other.calledAtMs <= endOf(one);

/** The reservation that a request made, as far as its client was told. */
export const madeBy = ({ answer }: Operation): string | undefined =>
  answer.kind === "won" || answer.kind === "held" ? answer.reservationId : undefined;

/** Seats of each reservation that some client was told of. */
export function seatsOfReservations({ operations }: History): Map<string, number[]> {
  return new Map(
    operations.flatMap((operation) => {
      const id = madeBy(operation);
      return id === undefined ? [] : [[id, seatsAsked(operation.asked, new Map())] as const];
    }),
  );
}

/** @throws for a reservation that nobody was told of: no client can have asked for it. */
export function seatsAsked(asked: Asked, ofReservations: Map<string, number[]>): number[] {
  switch (asked.do) {
    case "reserve":
    case "look":
      return [asked.seatId];
    case "hold":
      return asked.seatIds;
    default: {
      const seatIds = ofReservations.get(asked.reservationId);
      if (!seatIds) throw new Error(`nobody was told of the reservation ${asked.reservationId}`);
      return seatIds;
    }
  }
}

/** The histories of seats that no basket joins: each can be judged by itself. */
export function apart(history: History): History[] {
  const ofReservations = seatsOfReservations(history);
  const rootOf = new Map<number, number>();
  const root = (seatId: number): number => {
    const above = rootOf.get(seatId) ?? seatId;
    return above === seatId ? seatId : root(above);
  };
  const placed = history.operations.map((operation) => {
    const [first = 0, ...others] = seatsAsked(operation.asked, ofReservations);
    for (const other of others) rootOf.set(root(other), root(first));
    return { operation, seatId: first };
  });
  const groups = Map.groupBy(placed, ({ seatId }) => root(seatId));
  return [...groups.values()].map((members) => ({
    ...history,
    operations: members.map(({ operation }) => operation),
  }));
}
