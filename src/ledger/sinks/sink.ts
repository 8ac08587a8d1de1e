import { type LedgerRow, parseLedgerRow } from "../../postgres/ledger.ts";

/** An outgoing event: the key, the value and the headers of a Kafka record. */
export interface OutgoingEvent {
  key: string;
  value: string;
  headers: Record<string, string>;
}

/** The destination of committed events, in order. */
export interface EventSink {
  /** Identifies the destination permanently; its cursor is stored under this name. */
  readonly name: string;
  /**
   * Resolves when events are durable: to undefined for all of them, or to the number of events from the first
   * on, at least one. Rejects if the outcome is unknown; all of them are then sent again.
   */
  publish(events: OutgoingEvent[]): Promise<number | undefined>;
  /** Counts all events it has accepted since it was created, including duplicates; absent if that is not known. */
  countEvents?(): Promise<number>;
  /** Whether a single count can be trusted. A broker that has just started may not know all of its topics yet. */
  readonly countsExactly?: boolean;
  /** Present if the sink spreads keys over partitions. */
  readonly partitions?: Partitions;
  /**
   * Keeps the present events under another name and starts empty; absent if published events cannot be taken
   * back.
   */
  startOver?(): Promise<void>;
  close(): Promise<void>;
}

/** A topic's partitions. The events of a seat keep their order only while its key stays in one partition. */
export interface Partitions {
  /** The topic's number of partitions when last seen. */
  readonly count: number;
  /** The number of partitions that keys are spread over. */
  readonly used: number;
  /** Spreads keys over this many partitions in all later sends, however many the topic has. */
  use(count: number): void;
  /** Finds the consumer groups that have not read everything in the topic. */
  findLaggards(): Promise<string[]>;
}

/**
 * Converts a ledger row to an event in binary mode of the CloudEvents Kafka protocol binding (CloudEvents
 * 1.0.2). The required attributes are in `ce_` headers and the event itself is the value. Its identity is
 * (source, id): the epoch and `seatId:version`.
 */
export function toEvent(row: LedgerRow): OutgoingEvent {
  const replaces = row.replacesReservationId ? `,"replacesReservationId":"${row.replacesReservationId}"` : "";
  return {
    key: row.seatId,
    value: `{"seatId":${row.seatId},"status":"${row.status}","timestamp":${row.timestampMs},"version":${row.version},"reservationId":"${row.reservationId}","eventId":${row.eventId}${replaces}}`,
    headers: {
      ce_specversion: "1.0",
      ce_id: `${row.seatId}:${row.version}`,
      ce_source: `/sentinel/epochs/${row.epoch}`,
      ce_type: `sentinel.seat.${row.status.toLowerCase()}`,
    },
  };
}

/** Publishes ledger rows given as texts; resolves at once if there are none. */
export async function publishRows(
  sink: EventSink,
  seatRows: string[],
): Promise<{ acknowledgedCount: number } | { error: unknown }> {
  if (seatRows.length === 0) return { acknowledgedCount: 0 };
  try {
    const count = await sink.publish(seatRows.map((text) => toEvent(parseLedgerRow(text))));
    return { acknowledgedCount: count ?? seatRows.length };
  } catch (error) {
    return { error };
  }
}
