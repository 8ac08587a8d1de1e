import { comparePositions, type LedgerPosition } from "../postgres/ledger.ts";
import { parsePosition } from "./position.ts";

/**
 * Newest rows kept, and so how far back a client can resume. At 115 bytes a row they take about 12 MB; with
 * 10,000 changes a second they cover 10 s, enough for a client to reconnect.
 */
export const RECENT_LIMIT_ROWS = 100_000;
/** Small rounds are merged up to this size, so that a slow sale's rows do not cost an object each. */
const MERGE_LIMIT_ROWS = 256;

/** The changes between two ledger positions, as they are sent; all clients share the bytes. */
export interface Round {
  after: LedgerPosition;
  end: LedgerPosition;
  rowCount: number;
  bytesByEvent: Map<number, Uint8Array>;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function roundOf(
  after: LedgerPosition,
  end: LedgerPosition,
  { rowCount, textByEvent }: { rowCount: number; textByEvent: Map<number, string> },
): Round {
  const bytesByEvent = new Map([...textByEvent].map(([event, text]) => [event, encoder.encode(text)]));
  return { after, end, rowCount, bytesByEvent };
}

/** Returns an event's bytes in a round after `position`; undefined if there are none. */
export function bytesAfter(round: Round, eventId: number, position: LedgerPosition): Uint8Array | undefined {
  const bytes = round.bytesByEvent.get(eventId);
  if (!bytes || comparePositions(position, round.after) <= 0) return bytes;
  if (comparePositions(position, round.end) >= 0) return undefined;
  const left = decoder
    .decode(bytes)
    .split(/(?<=\n\n)/)
    .filter((message) => {
      const own = parsePosition(message.slice("id: ".length, message.indexOf("\n")));
      return !own || comparePositions(own, position) > 0;
    });
  return left.length > 0 ? encoder.encode(left.join("")) : undefined;
}

/** The newest part of the ledger in memory, all events: one epoch, without a gap, from `start` to `end`. */
export class RecentChanges {
  private rounds: Round[] = [];
  private rowCount = 0;

  /** @param begin the position before the first row that is kept */
  constructor(
    private begin: LedgerPosition,
    private readonly limitRows = RECENT_LIMIT_ROWS,
  ) {}

  get start(): LedgerPosition {
    return this.begin;
  }

  get end(): LedgerPosition {
    return this.rounds.at(-1)?.end ?? this.begin;
  }

  append(round: Round): void {
    const last = this.rounds.at(-1);
    if (last && last.rowCount + round.rowCount <= MERGE_LIMIT_ROWS) {
      this.rounds[this.rounds.length - 1] = merged(last, round);
    } else {
      this.rounds.push(round);
    }
    this.rowCount += round.rowCount;
    this.trim();
  }

  /** Adds older rounds, which follow each other up to `start`. */
  prepend(begin: LedgerPosition, rounds: Round[]): void {
    this.rounds = [...rounds, ...this.rounds];
    this.begin = begin;
    this.rowCount += rounds.reduce((sum, { rowCount }) => sum + rowCount, 0);
    this.trim();
  }

  /** Forgets everything, because another epoch begins. */
  restart(begin: LedgerPosition): void {
    this.rounds = [];
    this.rowCount = 0;
    this.begin = begin;
  }

  /** Returns the first round that goes beyond `position`; undefined at the end, "lost" if that is no longer kept. */
  next(position: LedgerPosition): Round | "lost" | undefined {
    if (comparePositions(position, this.begin) < 0) return "lost";
    let low = 0;
    let high = this.rounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const round = this.rounds[middle];
      if (round && comparePositions(round.end, position) > 0) high = middle;
      else low = middle + 1;
    }
    return this.rounds[low];
  }

  /** Counts the rows after `position`; undefined if some are no longer kept. */
  rowsAfter(position: LedgerPosition): number | undefined {
    if (comparePositions(position, this.begin) < 0) return undefined;
    let count = 0;
    for (let index = this.rounds.length - 1; index >= 0; index--) {
      const round = this.rounds[index];
      if (!round || comparePositions(round.end, position) <= 0) break;
      count += round.rowCount;
    }
    return count;
  }

  private trim(): void {
    let first = 0;
    while (this.rowCount > this.limitRows) {
      const round = this.rounds[first++];
      if (!round) break;
      this.rowCount -= round.rowCount;
      this.begin = round.end;
    }
    if (first > 0) this.rounds.splice(0, first);
  }
}

function merged(one: Round, next: Round): Round {
  const bytesByEvent = new Map(one.bytesByEvent);
  for (const [event, bytes] of next.bytesByEvent) {
    const before = bytesByEvent.get(event);
    bytesByEvent.set(event, before ? Buffer.concat([before, bytes]) : bytes);
  }
  return { after: one.after, end: next.end, rowCount: one.rowCount + next.rowCount, bytesByEvent };
}
