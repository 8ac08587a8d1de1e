import type { ChangeAction, ChangeRow } from "../postgres/change.ts";
import type { SeatRow } from "../postgres/reserve.ts";
import type { Settled } from "../postgres/settle.ts";
import { at } from "../runtime/assert.ts";
import { ACTIONS } from "../venue/outcome.ts";
import type { SeatMemory, SeatStatus } from "../venue/seat-memory.ts";
import type { Order } from "./order.ts";

/** A seat's new state, as memory and other processes hear of it. */
export type SeatNews = [seatId: number, version: number, status: SeatStatus, final: boolean];

/** Puts the statement's answer about a seat into memory. Returns the change if the seat was taken. */
export function learnFrom(
  memory: SeatMemory,
  seatId: number,
  isHold: boolean,
  { verdict, version, final }: SeatRow,
): SeatNews | undefined {
  if (version === null) return undefined;
  switch (verdict) {
    case "won": {
      const news: SeatNews = isHold ? [seatId, version, "held", false] : [seatId, version, "reserved", final];
      memory.learn(...news);
      return news;
    }
    case "reserved":
      memory.learn(seatId, version, "reserved", final);
      return undefined;
    case "held":
      memory.learn(seatId, version, "held", false);
      return undefined;
    case "free":
      memory.learn(seatId, version, "available", false);
      return undefined;
    default:
      return undefined;
  }
}

/** Returns the seats that a change of their reservation has changed. */
export function newsOf(
  action: ChangeAction,
  { seats, final }: Pick<ChangeRow, "seats" | "final">,
): SeatNews[] {
  const status: SeatStatus = ACTIONS[action].seats;
  return seats.map(([seatId, version]) => [seatId, version, status, final && status === "reserved"]);
}

/**
 * Returns the changes of an order that was committed. `told` says that its client was told to try again, and that its
 * reserved seats were given back.
 */
export function newsOfSettled({ kind, seatIds }: Order, versions: Settled, told: boolean): SeatNews[] {
  return (versions ?? []).map((version, place): SeatNews => {
    const seatId = at(seatIds, place, "a seat of the order");
    if (kind === "hold") return [seatId, version, "held", false];
    return told ? [seatId, version + 1, "available", false] : [seatId, version, "reserved", false];
  });
}
