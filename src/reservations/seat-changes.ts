import type { ChangeAction, ChangeRow } from "../postgres/change.ts";
import type { SeatRow } from "../postgres/reserve.ts";
import type { Settled } from "../postgres/settle.ts";
import { at } from "../runtime/assert.ts";
import { ACTIONS } from "../venue/outcome.ts";
import type { SeatChange } from "../venue/seat-events.ts";
import type { SeatMemory, SeatStatus } from "../venue/seat-memory.ts";
import type { Order } from "./order.ts";

/** Puts the statement's answer about a seat into memory. Returns the change if the seat was taken. */
export function learnFrom(
  memory: SeatMemory,
  seatId: number,
  isHold: boolean,
  { verdict, version, final }: SeatRow,
): SeatChange | undefined {
  if (version === null) return undefined;
  switch (verdict) {
    case "won": {
      const status = isHold ? "held" : "reserved";
      const change: SeatChange = { seatId, version, status, final: !isHold && final };
      memory.learn(seatId, version, status, change.final);
      return change;
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
export function changesOf(
  action: ChangeAction,
  { seats, final }: Pick<ChangeRow, "seats" | "final">,
): SeatChange[] {
  const status: SeatStatus = ACTIONS[action].seats;
  return seats.map(([seatId, version]) => ({
    ...{ seatId, version, status, final: final && status === "reserved" },
  }));
}

/**
 * Returns the changes of an order that was committed. `notified` says that its client was told to try again, and that
 * its reserved seats were given back.
 */
export function changesOfSettled(
  { kind, seatIds }: Order,
  versions: Settled,
  notified: boolean,
): SeatChange[] {
  return (versions ?? []).map((version, index): SeatChange => {
    const seatId = at(seatIds, index, "a seat of the order");
    if (kind === "hold") return { seatId, version, status: "held", final: false };
    return notified
      ? { seatId, version: version + 1, status: "available", final: false }
      : { seatId, version, status: "reserved", final: false };
  });
}

/** Puts changes of seats into memory. */
export function learnChanges(memory: SeatMemory, changes: readonly SeatChange[]): void {
  for (const { seatId, version, status, final } of changes) memory.learn(seatId, version, status, final);
}
