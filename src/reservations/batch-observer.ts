import type { DoubtfulSeats } from "../postgres/settle.ts";
import type { DecidedBatch } from "./batcher.ts";
import type { SeatNews } from "./seat-news.ts";

/** Hears what happens to batches, for metrics, the change feed and the database's gate. */
export interface BatchObserver {
  decided(batch: DecidedBatch): void;
  /** These seats have changed, and memory knows. */
  changed(news: SeatNews[]): void;
  /** Before their buyers are told to try again though it is not known whether these are committed; and when it is. */
  unresolved(doubt: DoubtfulSeats, state: "began" | "ended"): void;
  /** The answer was lost, or the database cannot be asked. */
  trouble(kind: "doubtful" | "away"): void;
}
