import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { type OutgoingEvent, toEvent } from "../../ledger/sinks/sink.ts";
import {
  isBefore,
  LEDGER_START,
  type LedgerPosition,
  type LedgerRow,
  parseLedgerRow,
  positionOf,
} from "../../postgres/ledger.ts";
import { readNewestEpoch, readPassedVersions, readRowsOf } from "../../postgres/published.ts";
import { readSinksPublishedAgain } from "../../postgres/sink-orders.ts";
import { eventRules } from "../rules/sealed-rules.ts";
import type { EventStore, StoredEvent } from "./event-store.ts";
import { Findings, type Proof, proofOf } from "./findings.ts";
import { SeenVersions } from "./seen-versions.ts";

/** Rows looked up at once. */
const LOOKUP_ROWS = 5000;
const PAGE_SEATS = 20_000;
/** Versions whose event did not come in order and may still come. Beyond the limit they count as missing. */
const AWAITED_LIMIT = 100_000;
const EPOCH = /^\/sentinel\/epochs\/([1-9]\d{0,9})$/;
const IDENTITY = /^([1-9]\d{0,15}):([1-9]\d{0,9})$/;

/**
 * Proves that the published events match the ledger. Each event equals the row of its identity, the first
 * occurrences of a seat's versions come in order, and none is missing up to the sink's cursor. Events may be
 * repeated. An event newer than the store's opening may be newer than the session's snapshot and is not a
 * finding. Neither is an event of an older epoch beyond the ledger's rows of that epoch: a restored backup
 * does not know what was published after it. The summary counts those.
 */
export async function proveEvents(
  session: NodePgDatabase,
  store: EventStore,
  cursors: ReadonlyMap<string, LedgerPosition>,
): Promise<Proof> {
  const cursor = cursors.get(store.sink);
  const reading = await readEvents(session, store, cursor ?? LEDGER_START);
  const { count, repeatedCount, lostCount, lateCount, findings } = reading;
  const repeated = repeatedCount > 0 ? `, ${repeatedCount} of them repetitions` : "";
  const removed = `the topic's retention has removed ${store.removedCount} messages: of those nothing can be told`;
  const elsewhere = `nothing was published there, but to ${[...cursors.keys()].join(", ")}: set KAFKA_BROKERS, or the engine's DATA_DIR`;
  const lost = `${lostCount} events are of changes that were published, and lost when the database was restored or failed over`;
  const late = `${lateCount} events came after one of a later version of their seat: an operator had them published again`;
  const notes = [
    ...(lostCount > 0 ? [lost] : []),
    ...(lateCount > 0 ? [late] : []),
    ...(store.removedCount > 0 ? [removed] : []),
  ];
  return proofOf("events", `${count} events in ${store.sink}${repeated}`, findings, {
    ...(notes.length > 0 && { note: notes.join("; ") }),
    ...(!cursor && cursors.size > 0 && { unproven: elsewhere }),
  });
}

/** Published rows whose events are missing. */
export interface Missing {
  count: number;
  /** The position before the first of them in the ledger; undefined if none is missing. */
  first: LedgerPosition | undefined;
}

/** Looks for the events of all rows up to the cursor. */
export async function findMissing(
  session: NodePgDatabase,
  store: EventStore,
  cursor: LedgerPosition,
): Promise<Missing> {
  const reading = await readEvents(session, store, cursor);
  let first: LedgerPosition | undefined;
  for (let start = 0; start < reading.missed.length; start += LOOKUP_ROWS) {
    for (const text of await readRowsOf(session, reading.missed.slice(start, start + LOOKUP_ROWS))) {
      const { epoch, txid, id } = positionOf(text);
      const before = { epoch, txid, id: String(BigInt(id) - 1n) };
      if (!first || isBefore(before, first)) first = before;
    }
  }
  return { count: reading.findings.totalOf(eventRules.missing), first };
}

async function readEvents(
  session: NodePgDatabase,
  store: EventStore,
  cursor: LedgerPosition,
): Promise<EventReading> {
  const reading = new EventReading(session, {
    isTrimmed: store.removedCount > 0,
    newestEpoch: await readNewestEpoch(session),
    mayComeLate: (await readSinksPublishedAgain(session)).has(store.sink),
  });
  await store.read(async (events) => {
    for (let start = 0; start < events.length; start += LOOKUP_ROWS)
      await reading.take(events.slice(start, start + LOOKUP_ROWS));
  });
  await reading.finish(cursor);
  return reading;
}

/** Events, and the texts of their rows, which are being read from the database. */
interface Batch {
  events: StoredEvent[];
  rowTexts: Promise<string[]>;
}

interface Known {
  row: LedgerRow;
  event: OutgoingEvent;
}

class EventReading {
  readonly findings = new Findings();
  count = 0;
  repeatedCount = 0;
  lostCount = 0;
  /** Late events, if they are expected. */
  lateCount = 0;
  /** The first missing version of each seat that lacks any. */
  readonly missed: { seatId: number; version: number }[] = [];
  private readonly seen = new SeenVersions();
  /** Identities that were missing when a later version came. */
  private readonly awaited = new Set<string>();
  private next: Batch | undefined;

  constructor(
    private readonly session: NodePgDatabase,
    private readonly of: {
      /** The oldest messages are gone: a seat may start at any version, or be missing entirely. */
      isTrimmed: boolean;
      newestEpoch: number;
      /** An operator has had events published again. */
      mayComeLate: boolean;
    },
  ) {}

  /** Starts the look-up of these events' rows, and compares the previous events meanwhile. */
  async take(events: StoredEvent[]): Promise<void> {
    this.count += events.length;
    const wanted = events.flatMap((event) => {
      const [, seatId, version] = IDENTITY.exec(idOf(event)) ?? [];
      return seatId === undefined ? [] : [{ seatId: Number(seatId), version: Number(version) }];
    });
    const rowTexts = readRowsOf(this.session, wanted);
    // A failure is reported when the result is awaited.
    rowTexts.catch(() => undefined);
    const before = this.next;
    this.next = { events, rowTexts };
    await this.compare(before);
  }

  private async compare(batch: Batch | undefined): Promise<void> {
    if (!batch) return;
    const rows = new Map<string, Known>();
    for (const text of await batch.rowTexts) {
      const row = parseLedgerRow(text);
      const event = toEvent(row);
      rows.set(idOf(event), { row, event });
    }
    for (const event of batch.events) {
      const known = rows.get(idOf(event));
      if (!known || known.event.headers["ce_source"] !== event.headers["ce_source"]) {
        if (this.isLost(event, known?.row)) this.lostCount++;
        else if (event.isSettled) this.findings.add(eventRules.foreign, placeOfForeign(event));
        continue;
      }
      const { seatId, version } = known.row;
      if (!isSame(event, known.event))
        this.findings.add(eventRules.different, { seatId, version, detail: event.place });
      this.order(Number(seatId), version, event.place);
    }
  }

  /** @param row the ledger's row in the event's place: none, or one of a later epoch */
  private isLost({ headers }: StoredEvent, row: LedgerRow | undefined): boolean {
    const epoch = Number(EPOCH.exec(headers["ce_source"] ?? "")?.[1] ?? this.of.newestEpoch);
    return epoch < this.of.newestEpoch && (row === undefined || row.epoch > epoch);
  }

  private order(seatId: number, version: number, place: string): void {
    const newest = this.seen.get(seatId);
    if (version <= newest) {
      if (this.awaited.delete(`${seatId}:${version}`)) {
        if (this.of.mayComeLate) {
          this.lateCount++;
          return;
        }
        this.findings.add(eventRules.late, { seatId: String(seatId), version, detail: place });
      } else this.repeatedCount++;
      return;
    }
    if (newest > 0 || !this.of.isTrimmed) this.await(seatId, newest + 1, version - 1);
    this.seen.set(seatId, version);
  }

  private await(seatId: number, from: number, to: number): void {
    let version = from;
    for (; version <= to && this.awaited.size < AWAITED_LIMIT; version++)
      this.awaited.add(`${seatId}:${version}`);
    this.missing(String(seatId), version, to);
  }

  /** Reports what is missing up to the cursor. */
  async finish(cursor: LedgerPosition): Promise<void> {
    await this.compare(this.next);
    for (const identity of this.awaited) {
      const [seatId = "", version] = identity.split(":");
      this.missing(seatId, Number(version), Number(version));
    }
    for (let after = 0; ; ) {
      const page = await readPassedVersions(this.session, cursor, { after, limit: PAGE_SEATS });
      for (const { seatId, version } of page) {
        const newest = this.seen.get(seatId);
        if (newest === 0 && this.of.isTrimmed) continue;
        this.missing(String(seatId), newest + 1, version);
      }
      after = page.at(-1)?.seatId ?? after;
      if (page.length < PAGE_SEATS) return;
    }
  }

  private missing(seatId: string, from: number, to: number): void {
    if (from <= to) this.missed.push({ seatId: Number(seatId), version: from });
    this.findings.addVersions(eventRules.missing, seatId, from, to);
  }
}

const idOf = ({ headers }: OutgoingEvent): string => headers["ce_id"] ?? "";

function isSame(one: OutgoingEvent, other: OutgoingEvent): boolean {
  if (one.key !== other.key || one.value !== other.value) return false;
  const names = Object.keys(one.headers);
  return (
    names.length === Object.keys(other.headers).length &&
    names.every((name) => one.headers[name] === other.headers[name])
  );
}

function placeOfForeign(event: StoredEvent) {
  const [, seatId, version] = IDENTITY.exec(idOf(event)) ?? [];
  if (seatId === undefined) return { detail: event.place };
  const source = event.headers["ce_source"] ?? "no source";
  return { seatId, version: Number(version), detail: `${event.place}, of ${source}` };
}
