import type { OutgoingEvent } from "../../ledger/sinks/sink.ts";

/** An event as it lies where it was published. */
export interface StoredEvent extends OutgoingEvent {
  /** In words. */
  place: string;
  /** Whether it was there already when the store was opened. */
  isSettled: boolean;
}

/** A topic, or the file that stands in for it, to be read once from its beginning. */
export interface EventStore {
  /** The sink's name: its cursor is kept under it. */
  sink: string;
  /** What the topic's retention has removed: it cannot be looked at any more. */
  removedCount: number;
  /** Hands over everything that is there when it is called, per partition in order. */
  read(visit: (events: StoredEvent[]) => Promise<void>): Promise<void>;
  close(): Promise<void>;
}
