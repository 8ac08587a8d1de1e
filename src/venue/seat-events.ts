import type { SeatStatus } from "./seat-memory.ts";

/** A seat's new state; `final` if it never changes again. */
export interface SeatChange {
  seatId: number;
  version: number;
  status: SeatStatus;
  final: boolean;
}

/** Which process has changed the seats. */
export type ChangedBy = "this-process" | "peer";

export type SeatListener = (changes: SeatChange[], changedBy: ChangedBy) => void;

/** Tells the rooms which seats have changed. It opens before all of them, and memory already knows every change. */
export class SeatEvents {
  private readonly listeners: SeatListener[] = [];

  onChange(listener: SeatListener): void {
    this.listeners.push(listener);
  }

  changed(changes: SeatChange[], changedBy: ChangedBy): void {
    for (const listener of this.listeners) listener(changes, changedBy);
  }
}
