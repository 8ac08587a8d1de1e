import { type LedgerRow, parseLedgerRow } from "../../postgres/ledger.ts";

/** One event as it goes out: the key, the value and the headers of a Kafka record. */
export interface OutgoingEvent {
  key: string;
  value: string;
  headers: Record<string, string>;
}

/** Where committed events go, in order. */
export interface EventSink {
  /** Names the place for good: its cursor is kept under this name. */
  readonly name: string;
  /**
   * Resolves when events are durable there: with undefined for all of them, or with how many from the first on, at least
   * one. Rejects when that is unknown (all will be sent again).
   */
  publish(events: OutgoingEvent[]): Promise<number | undefined>;
  /** How many events it has taken since it was made, repetitions included; absent if that is not known. */
  countEvents?(): Promise<number>;
  /** Whether a single count can be trusted. A broker that has just started may not know all of its topics yet. */
  readonly countsExactly?: boolean;
  /** For a sink that spreads keys over partitions. */
  readonly partitions?: Partitions;
  /** Keeps the present events under another name and begins empty; absent if events cannot be taken back. */
  startOver?(): Promise<void>;
  close(): Promise<void>;
}

/** A topic's partitions. Each seat's events keep their order only while its key stays in one partition. */
export interface Partitions {
  /** How many the topic had when last seen. */
  readonly count: number;
  /** Over how many the keys are spread. */
  readonly used: number;
  /** From now on spreads keys over this many partitions, however many the topic has. */
  use(count: number): void;
  /** The consumer groups that have not read everything in the topic. */
  findLaggards(): Promise<string[]>;
}

/**
 * A ledger row in the CloudEvents Kafka protocol binding, binary mode (CloudEvents 1.0.2): attributes in
 * `ce_` headers (the required ones only), the event itself as the value. The identity
 * is (source, id): `seatId:version` in its epoch.
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

/** Publishes these rows, given as texts; resolves at once for an empty list. */
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
