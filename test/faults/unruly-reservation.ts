import type { ReservationTask } from "../../src/threads/messages.ts";
import run from "../../workers/reservation.ts";
import { DEEDS, type Deed, POISONED_SEATS_OF_EACH_DEED } from "./unruly-deeds.ts";

/** The seats from `firstPoisonedSeat` on, 100 for each deed. */
const firstPoisonedSeat = Number(process.env["FIRST_POISONED_SEAT"]);

function deedOf(task: ReservationTask): Deed | undefined {
  if (task.kind !== "take") return undefined;
  const seatIds = task.orders.flatMap(({ seats }) => seats.map(({ seatId }) => seatId));
  const poisoned = seatIds.find((seatId) => seatId >= firstPoisonedSeat);
  if (poisoned === undefined) return undefined;
  return DEEDS[Math.floor((poisoned - firstPoisonedSeat) / POISONED_SEATS_OF_EACH_DEED)];
}

/** One Piscina task, as workers/reservation.ts does it but for the poisoned seats. */
export default async function unruly(task: string): Promise<unknown> {
  const deed = deedOf(JSON.parse(task));
  switch (deed) {
    case undefined:
      return run(task);
    case "throws":
      throw new Error("told to throw");
    case "exits":
      return process.exit(1);
    case "exits after the commit":
      await run(task);
      return process.exit(1);
    case "spins":
      for (;;);
    default:
      throw new Error(`unknown deed ${deed satisfies never}`);
  }
}
