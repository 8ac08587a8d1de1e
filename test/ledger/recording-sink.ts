import type { EventSink, OutgoingEvent } from "../../src/ledger/sinks/sink.ts";

/** A place for events that writes everything down, and fails as it is told. */
export class RecordingSink {
  readonly events: OutgoingEvent[] = [];
  opened = 0;
  closed = 0;
  /** What the next publish meets: a failure before anything is taken in, or after, when only the word of it is lost. */
  failNext: "before" | "after" | undefined;
  /** While set, it cannot be opened. */
  away = false;
  /** While set, a publish that has begun does not end. */
  gate: Promise<void> | undefined;

  constructor(readonly name = "recording") {}

  open = async (): Promise<EventSink> => {
    if (this.away) throw new Error("the sink is unavailable");
    this.opened++;
    return {
      name: this.name,
      publish: async (events) => {
        const failure = this.failNext;
        this.failNext = undefined;
        if (failure === "before") throw new Error("nothing was taken");
        this.events.push(...events);
        if (failure === "after") throw new Error("the acknowledgement was lost");
        await this.gate;
      },
      close: async () => {
        this.closed++;
      },
    };
  };

  /** Every event's identity, in order of arrival. */
  arrivals(): string[] {
    return this.events.map(({ headers: { ce_id } }) => ce_id ?? "");
  }

  /** The same without repetitions. */
  firstOccurrences(): string[] {
    return [...new Set(this.arrivals())];
  }

  /** The versions of a seat, in order of their first occurrence. */
  versionsOf(seatId: number): number[] {
    const ofSeat = this.firstOccurrences().filter((identity) => identity.startsWith(`${seatId}:`));
    return ofSeat.map((identity) => Number(identity.split(":")[1]));
  }
}
