import { type LedgerRow, parseLedgerRow } from "../postgres/ledger.ts";

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
  /** Resolves when every event is durable there; rejects when that is unknown (all will be sent again). */
  publish(events: OutgoingEvent[]): Promise<void>;
  /** How many events it has taken since it was made, repetitions included; not there where that is not known. */
  countEvents?(): Promise<number>;
  close(): Promise<void>;
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

/** Publishes these rows, given as texts; an empty list is nothing to wait for. */
export async function publishRows(
  sink: EventSink,
  seatRows: string[],
): Promise<"acknowledged" | { error: unknown }> {
  try {
    if (seatRows.length > 0) await sink.publish(seatRows.map((text) => toEvent(parseLedgerRow(text))));
    return "acknowledged";
  } catch (error) {
    return { error };
  }
}
