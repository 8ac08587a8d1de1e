import type { DoubtfulOrder } from "../postgres/settle.ts";
import type { DecidedBatch } from "./batcher.ts";
import type { SeatNews } from "./seat-news.ts";

/** Hears what happens to batches, for metrics, the change feed and the database's gate. */
export interface BatchObserver {
  decided(batch: DecidedBatch): void;
  /** These seats have changed; memory already knows. */
  changed(news: SeatNews[]): void;
  /**
   * Called with `began` before buyers are told to try again although their seats may be committed, and with `ended`
   * once that is known.
   */
  unresolved(orders: DoubtfulOrder[], state: "began" | "ended"): void;
  /** Called when an answer was lost (`doubtful`) or the database cannot be asked (`away`). */
  trouble(kind: "doubtful" | "away"): void;
}
