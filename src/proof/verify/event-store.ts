import type { OutgoingEvent } from "../../ledger/sinks/sink.ts";

/** An event as stored where it was published. */
export interface StoredEvent extends OutgoingEvent {
  /** Its position, in words. */
  place: string;
  /** Whether it already existed when the store was opened. */
  isSettled: boolean;
}

/** A topic, or the file in its place, to be read once from its start. */
export interface EventStore {
  /** The sink's name, under which its cursor is stored. */
  sink: string;
  /** The number of messages that the topic's retention has removed; they can no longer be checked. */
  removedCount: number;
  /** Passes on everything that exists when it is called, in order per partition. */
  read(visit: (events: StoredEvent[]) => Promise<void>): Promise<void>;
  close(): Promise<void>;
}
