import { expect } from "bun:test";
import { readFile } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { readTopic } from "../fixtures/kafka.ts";
import { untilWithin } from "../fixtures/until.ts";
import type { Facts } from "./facts.ts";

export const TOPIC = "booking-events";

/** Where an engine's events go: a Kafka, or the file that stands in for it. */
export type EventPlace = { brokers: string } | { file: string };

export interface SeatEvent {
  key: string;
  /** Always 0 in a file. */
  partition: number;
  headers: Record<string, string>;
  value: {
    seatId: number;
    status: string;
    timestamp: number;
    version: number;
    reservationId: string;
    eventId: number;
  };
}

/** Every event there is, in order; waits for `atLeast` of them. */
export async function readEvents(
  place: EventPlace,
  { atLeast, deadlineMs }: { atLeast: number; deadlineMs: number },
): Promise<SeatEvent[]> {
  if ("brokers" in place) {
    const messages = await readTopic(place.brokers, TOPIC, { atLeast, deadlineMs });
    return messages.map(({ key = "", partition, headers, value }) => ({
      ...{ key, partition, headers },
      value: JSON.parse(value),
    }));
  }
  const lines = await untilWithin(deadlineMs, `${atLeast} events in ${place.file}`, async () => {
    const complete = (await readFile(place.file, "utf8")).split("\n").slice(0, -1);
    return complete.length >= atLeast && complete;
  });
  return lines.map((line) => ({ partition: 0, ...JSON.parse(line) }));
}

/**
 * Each ledger row is there, nothing else is, a repetition carries the same identity and content, and the
 * first occurrences of a seat come in version order within one partition.
 * @returns how often an event was repeated.
 */
export async function expectPublished(facts: Facts, events: SeatEvent[]): Promise<number> {
  const first = new Map<string, SeatEvent>();
  const newest = new Map<number, { version: number; partition: number }>();
  const faults: string[] = [];
  let repetitions = 0;
  for (const event of events) {
    const { seatId, version, status } = event.value;
    const { ce_source: source, ce_id: id, ce_type: type } = event.headers;
    const identity = `${source} ${id}`;
    if (event.key !== String(seatId)) faults.push(`${identity} has the key ${event.key}`);
    if (id !== `${seatId}:${version}`) faults.push(`${identity} is of seat ${seatId}, version ${version}`);
    if (type !== `sentinel.seat.${status.toLowerCase()}`) faults.push(`${identity} is ${status} and ${type}`);
    const before = first.get(identity);
    if (before) {
      if (!isDeepStrictEqual(event, before)) faults.push(`${identity} came again as another`);
      repetitions++;
      continue;
    }
    first.set(identity, event);
    const last = newest.get(seatId) ?? { version: 0, partition: event.partition };
    if (version !== last.version + 1) faults.push(`${identity} came after version ${last.version}`);
    if (event.partition !== last.partition) faults.push(`${identity} is in another partition than before`);
    newest.set(seatId, { version, partition: event.partition });
  }
  expect(faults).toEqual([]);
  const published = [...first.values()].map(({ value, headers: { ce_source: source } }) =>
    [value.seatId, value.version, value.status, value.reservationId, source].join(" "),
  );
  const ledger = (await facts.ledger()).map((row) =>
    [row.seatId, row.version, row.status, row.reservationId, `/sentinel/epochs/${row.epoch}`].join(" "),
  );
  expect(published.sort()).toEqual(ledger.sort());
  return repetitions;
}
