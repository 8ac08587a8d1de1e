import type { KafkaSecurity } from "../config/credential-relations.ts";
import type { TlsFiles } from "../config/secret-files.ts";
import type { ChangeGuard, ChangeRequests, ChangeRow } from "../postgres/change.ts";
import type { LostChanges, Recalled } from "../postgres/recall.ts";
import type { SeatRequests, SeatRow, TakeGuard } from "../postgres/reserve.ts";
import type { DoubtfulSeats } from "../postgres/settle.ts";
import type { LocksReport } from "../redis/seat-locks.ts";

/** What crosses the thread boundary; plain data only. */

/** Settings of a reservation thread. */
export interface ReservationSettings {
  databaseUrl: string;
  redisUrls: string[];
  redisTls?: TlsFiles;
  /** Keeps Redis keys of engines on other databases apart. */
  keyPrefix: string;
  /** The number by which other engines on the database tell this process. */
  presence: number;
  connectionLimit: number;
  statementTimeoutMs: number;
  lockTtlMs: number;
  connectTimeoutMs: number;
  redisTimeoutMs: number;
  logLevel: string;
}

export type ReservationTask =
  | ({ kind: "take" } & TakeBatch)
  | ({ kind: "change" } & ChangeBatch)
  /** Find out what became of changes whose results were lost. */
  | ({ kind: "recall" } & LostChanges)
  /** Look whether these were committed; give back those that were, when their buyers were told otherwise. */
  | ({ kind: "settle"; giveBack: boolean } & DoubtfulSeats);

/** Asks whether a sale would succeed, after real transactions have failed. */
export interface RehearsalTask {
  kind: "rehearse";
}

/** Seats to take, for reservations of one seat or several; those with a key or a buyer have a guard. */
export interface TakeBatch extends SeatRequests {
  guards: TakeGuard[];
}

/** Reservations to change. */
export interface ChangeBatch extends ChangeRequests {
  guards: ChangeGuard[];
}

/**
 * A seat's answer: a row of the statement, or that the database could not decide, or that somebody else is
 * deciding on its reservation's key or buyer (nothing has changed).
 */
export type SeatAnswer =
  | SeatRow
  | { verdict: "undecided" | "claimed"; version: null; final: false; hold: null };

export interface BatchAnswer {
  /** One a seat, in the order of the task. */
  seats: SeatAnswer[];
  /** The database refused the connection or the statement for a reason of its own. */
  databaseAway: boolean;
  lockMs: number;
  transactionMs: number;
  guarded: boolean;
  conflictCount: number;
  ghostCount: number;
  movedCount: number;
  reran: boolean;
}

/** `doubtful`: the connection was lost after sending; the same ids must be settled before anybody is told. */
export type TakeResult = BatchAnswer | "doubtful";

/** Nothing was changed: the database could not decide, or somebody else is deciding on the key or the buyer. */
export type ChangeAnswer = ChangeRow | { verdict: "undecided" | "claimed" };

/** `doubtful`: what was lost may have been done, and must be recalled before it is asked for again. */
export type ChangeResult =
  | { changes: ChangeAnswer[]; databaseAway: boolean; transactionMs: number }
  | "doubtful";

/** What became of each lost change; `away`: the database could not say. */
export type RecallResult = { changes: Recalled[] } | "away";

/** For each seat the version that was committed, or null when it never will be. `away`: ask again later. */
export type SettleResult = { versions: (number | null)[] } | "away";

/** Undefined when a sale would succeed. */
export type RehearsalResult = { kind: "unsellable" | "away" | "slow"; reason: string } | undefined;

/** What the publisher's thread is told once. */
export interface PublisherSettings {
  databaseUrl: string;
  kafkaBrokers: string[] | undefined;
  kafkaSecurity: KafkaSecurity;
  /** The file that takes the events where there is no Kafka. */
  eventsFile: string;
  batchLimitRows: number;
  statementTimeoutMs: number;
  connectTimeoutMs: number;
  logLevel: string;
}

/** What the publisher's part of the audit has found and still sees, and how much it looked at since its last word. */
export interface PublisherAudit {
  topic: { drift: number; lookedAt: number };
  ledger: { drift: number; lookedAt: number };
}

/** What one round of the publisher did and saw. */
export interface PublisherReport {
  /** Whether this process is the one that publishes. */
  active: boolean;
  publishedCount: number;
  publishSeconds: number[];
  failureCount: number;
  /** More is waiting: the next round should begin at once. */
  more: boolean;
  sinkUp: boolean;
  /** False until it is known for the first time whether the sink works. */
  sinkIsKnown: boolean;
  /** Of a topic: how many partitions it has, and over how many its keys are spread. */
  partitions?: { count: number; used: number };
  backlogRows: number;
  backlogSeconds: number;
  horizonSeconds: number;
  /** Of the process that publishes. */
  audit?: PublisherAudit;
}

/** A thread's own figures, sent by itself once a second. */
export interface ThreadSample {
  kind: "thread-sample";
  threadId: number;
  heapUsedBytes: number;
  heapSizeBytes: number;
  eventLoopLagSeconds: number;
  /** Since the sample before. */
  logLinesDropped: number;
  pool?: { total: number; idle: number; waiting: number };
  locks?: LocksReport;
}
