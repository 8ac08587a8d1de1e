import type { KafkaSecurity } from "../config/credential-relations.ts";
import type { TlsFiles } from "../config/secret-files.ts";
import type { CallerKind, ChangeRow, ReservationChange } from "../postgres/change.ts";
import type { LostChange, Recalled } from "../postgres/recall.ts";
import type { SeatOrder, SeatRow } from "../postgres/reserve.ts";
import type { LostOrder, Settled } from "../postgres/settle.ts";
import type { LocksReport } from "../redis/seat-locks.ts";

/** Settings of a reservation thread. Only plain data crosses the thread boundary. */
export interface ReservationSettings {
  databaseUrl: string;
  redisUrls: string[];
  redisTls?: TlsFiles;
  /** Separates the Redis keys of engines on other databases. */
  keyPrefix: string;
  /** The number by which other engines on the database identify this process. */
  presence: number;
  connectionLimit: number;
  statementTimeoutMs: number;
  lockTtlMs: number;
  connectTimeoutMs: number;
  redisTimeoutMs: number;
  logLevel: string;
}

export type ReservationTask =
  | { kind: "take"; orders: SeatOrder[] }
  /** `limitedCallers`: the kinds of callers whose held seats are limited. */
  | { kind: "change"; changes: ReservationChange[]; limitedCallers?: CallerKind[] }
  /** Finds out what became of changes whose results were lost. */
  | { kind: "recall"; changes: LostChange[] }
  /**
   * Finds out whether these were committed. With `giveBack`, committed ones are given back, because their
   * buyers were told otherwise.
   */
  | { kind: "settle"; giveBack: boolean; orders: LostOrder[] };

/** Asks whether a sale would succeed, after real transactions have failed. */
export interface RehearsalTask {
  kind: "rehearse";
}

/**
 * The result for an order: the statement's row for each of its seats. `undecided`: the database could not decide.
 * `claimed`: another request is deciding on the same key, buyer or caller. Nothing has changed in the last two cases.
 */
export type OrderAnswer = SeatRow[] | "undecided" | "claimed";

export interface BatchAnswer {
  /** One per order of the task. */
  orders: OrderAnswer[];
  /** The database refused the connection or the statement for a reason of its own. */
  databaseAway: boolean;
  lockMs: number;
  transactionMs: number;
  isLocked: boolean;
  conflictCount: number;
  ghostCount: number;
  movedCount: number;
  reran: boolean;
}

/** `doubtful`: the connection was lost after sending. The same ids must be settled before anybody gets a response. */
export type TakeResult = BatchAnswer | "doubtful";

/** The result of a change. The thread adds verdicts to those of the statement. */
export type ChangeAnswer = ChangeRow | { verdict: "undecided" | "claimed" };

/** `doubtful`: lost changes may have been committed, and must be recalled before they are tried again. */
export type ChangeResult =
  | { changes: ChangeAnswer[]; databaseAway: boolean; transactionMs: number }
  | "doubtful";

/** The fate of each lost change; `away`: the database did not respond. */
export type RecallResult = { changes: Recalled[] } | "away";

/** The fate of each order. `away`: ask again later. */
export type SettleResult = { orders: Settled[] } | "away";

/** Undefined if a sale would succeed. */
export type RehearsalResult = { kind: "unsellable" | "away" | "slow"; reason: string } | undefined;

/** Settings of the publisher's thread. */
export interface PublisherSettings {
  databaseUrl: string;
  kafkaBrokers: string[] | undefined;
  kafkaSecurity: KafkaSecurity;
  /** The file that receives the events if there is no Kafka. */
  eventsFile: string;
  batchLimitRows: number;
  statementTimeoutMs: number;
  connectTimeoutMs: number;
  logLevel: string;
}

/** The current findings of the publisher's part of the audit, and how much it checked since its last report. */
export interface PublisherAudit {
  topic: { drift: number; lookedAt: number };
  ledger: { drift: number; lookedAt: number };
}

/** The result of one round of the publisher. */
export interface PublisherReport {
  /** Whether this process publishes. */
  active: boolean;
  publishedCount: number;
  publishSeconds: number[];
  failureCount: number;
  /** More is waiting: the next round should start at once. */
  more: boolean;
  sinkUp: boolean;
  /** False until the first result shows whether the sink works. */
  sinkIsKnown: boolean;
  /** For a topic: its number of partitions, and the number that keys are spread over. */
  partitions?: { count: number; used: number };
  backlogRows: number;
  backlogSeconds: number;
  horizonSeconds: number;
  /** Only from the process that publishes. */
  audit?: PublisherAudit;
}

/** A thread's own metrics, which it sends once a second. */
export interface ThreadSample {
  kind: "thread-sample";
  threadId: number;
  heapUsedBytes: number;
  heapSizeBytes: number;
  eventLoopLagSeconds: number;
  /** Since the previous sample. */
  logLinesDropped: number;
  pool?: { total: number; idle: number; waiting: number };
  locks?: LocksReport;
}
