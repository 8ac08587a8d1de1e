import type { ChangeAction, ChangeRow } from "../postgres/change.ts";
import type { SeatAnswer } from "../threads/messages.ts";
import type { SeatId } from "../venue/seat-id.ts";
import type { SeatMemory, SeatStatus } from "../venue/seat-memory.ts";
import type { Order } from "./order.ts";

/** A seat's new state, as memory and other processes hear of it. */
export type SeatNews = [seatId: number, version: number, status: SeatStatus, final: boolean];

/** Memory takes in what was said of a seat; the news, where the seat was taken. */
export function learnFrom(
  memory: SeatMemory,
  order: Order,
  seatId: SeatId | undefined,
  { verdict, version, final }: SeatAnswer,
): SeatNews | undefined {
  if (seatId === undefined || version === null) return undefined;
  switch (verdict) {
    case "won": {
      const news: SeatNews =
        order.kind === "hold" ? [seatId, version, "held", false] : [seatId, version, "reserved", final];
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

/** The status of a reservation's seats after each action. */
const SEATS_AFTER: Record<ChangeAction, SeatStatus> = {
  confirm: "reserved",
  extend: "held",
  release: "available",
  cancel: "available",
  expire: "available",
};

/** The seats that a change of their reservation has changed. */
export function newsOf(
  action: ChangeAction,
  { seats, final }: Pick<ChangeRow, "seats" | "final">,
): SeatNews[] {
  const status = SEATS_AFTER[action];
  return seats.map(([seatId, version]) => [seatId, version, status, final && status === "reserved"]);
}
