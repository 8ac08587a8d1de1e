import type { LostOrder } from "../postgres/settle.ts";
import type { SeatChange } from "../venue/seat-events.ts";
import type { DecidedBatch } from "./batcher.ts";

/** Hears what happens to batches, for metrics, the change feed and the database's gate. */
export interface BatchObserver {
  decided(batch: DecidedBatch): void;
  /** These seats have changed; memory already knows. */
  changed(changes: SeatChange[]): void;
  /**
   * Called with `began` before buyers are told to try again although their seats may be committed, and with `ended`
   * once that is known.
   */
  unresolved(orders: LostOrder[], state: "began" | "ended"): void;
  /** Called when an answer was lost (`doubtful`) or the database cannot be asked (`away`). */
  trouble(kind: "doubtful" | "away"): void;
}
