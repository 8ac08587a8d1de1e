import type { ReservationTask, TakeResult } from "../../src/threads/messages.ts";
import { textTask } from "../../src/threads/text-task.ts";

/** Answers a batch at once, so that only the way to the thread and back is measured. */
export default textTask<ReservationTask, Pick<Exclude<TakeResult, "doubtful">, "orders">>(async (task) => ({
  orders: (task.kind === "take" ? task.orders : []).map(({ seats }) =>
    seats.map(() => ({ verdict: "won", version: 1, final: true, hold: null })),
  ),
}));
