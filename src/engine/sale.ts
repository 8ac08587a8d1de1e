import { join } from "node:path";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { CatalogueKeeper } from "../catalogue/keeper.ts";
import { redisTlsOf } from "../config/credential-relations.ts";
import type { LedgerTail } from "../live/ledger-tail.ts";
import type { Opening } from "../parts/context.ts";
import { newPresence } from "../postgres/presence.ts";
import { findHoldAsMade } from "../postgres/reservations.ts";
import { readSeatsOf } from "../postgres/seats.ts";
import { Batcher } from "../reservations/batcher.ts";
import { Changes } from "../reservations/changes.ts";
import type { ReservationFigures } from "../reservations/figures.ts";
import { openGate, openProbes } from "../reservations/gate.ts";
import type { Mark } from "../reservations/memory-keeper.ts";
import type { SeatNews } from "../reservations/seat-news.ts";
import { Sweeper } from "../reservations/sweeper.ts";
import { SweeperLoop } from "../reservations/sweeper-loop.ts";
import { giveBackLeft, UnresolvedReservations } from "../reservations/unresolved.ts";
import { messageOf } from "../telemetry/log.ts";
import type { ReservationSettings } from "../threads/messages.ts";
import type { PublisherLoop } from "../threads/publisher-loop.ts";
import { ThreadPool } from "../threads/thread-pool.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import { keyPrefixOf, openMemory } from "./sale-memory.ts";

/** Confirmations and the like have batches and connections of their own, so that they never wait behind takers. */
export const CHANGE_BATCHES_PER_WORKER = 2;
export const SWEEPER_CONNECTIONS = 1;

/**
 * With the default time limits no batch takes as long: lock and look (4 Redis commands), then two rounds of
 * connect and statement. A batch that does is settled like one whose answer was lost.
 */
const BATCH_DEADLINE_MS = 15_000;

const POOLED =
  "a pooler gives every transaction another session (PgBouncer with pool_mode = transaction?): requests fail with 503 at random; set pool_mode = session for this database, then restart the engines (docs/operations/postgres.md)";

export interface Sale {
  batcher: Batcher;
  changes: Changes;
  /** Whether seats can be sold. */
  databaseUp(): boolean;
  /** Whether the database can at least be read. */
  databaseAnswers(): boolean;
  /** A moment from before which memory has everything; undefined until it was filled. */
  completeSince(): Mark | undefined;
  ready(): boolean;
  /** Brings the sale's gauges up to date. */
  refresh(): void;
  /** Turns readiness off; selling goes on. */
  announceEnd(): void;
  /** Refuses new requests, then resolves when every request that was accepted is answered. */
  drain(): Promise<void>;
}

interface Neighbours {
  memory: SeatMemory;
  catalogue: CatalogueKeeper;
  reads: pg.Pool;
  publisher: PublisherLoop;
  /** Who tells clients of seat changes. */
  tail: Pick<LedgerTail, "poke">;
  reservationFigures: ReservationFigures;
}

/** The way of a request behind HTTP: memory, batcher, worker threads; the database's gate and the change feed beside them. */
export function openSale(
  opening: Opening,
  { memory, catalogue, reads, publisher, tail, reservationFigures }: Neighbours,
): Sale {
  const { config, metrics, figures, log } = opening;
  const presence = newPresence();
  const threads = openThreads(opening, presence);

  /** The ledger, the clients who listen and the other processes hear what has changed. */
  const changed = (news: SeatNews[]) => {
    publisher.poke();
    tail.poke();
    feed?.publish(news);
  };
  const trouble = (kind: "doubtful" | "away") => {
    if (kind === "doubtful") metrics.doubtfulBatches.inc();
    gate.suspect(kind === "doubtful" ? "lost" : "failed");
  };
  const unresolved = new UnresolvedReservations(join(config.dataDir, "unresolved.jsonl"), log);
  const batcher = new Batcher({
    memory,
    mayTrustMemory: () => trust.isTrusted,
    run: (task) => threads.run(task, BATCH_DEADLINE_MS),
    readFacts: (reservationId) => findHoldAsMade(drizzle(reads), reservationId),
    slotCount: config.reservationWorkers * config.batchesPerWorker,
    batchLimitSeats: config.batchLimitSeats,
    queueLimitSeats: config.queueLimitSeats,
    callerLimitSeats: (caller) =>
      caller.startsWith("key:") ? config.holdLimitKeySeats : config.holdLimitAddressSeats,
    observer: {
      decided: (batch) => {
        if (!batch.answer.databaseAway) gate.proven();
        reservationFigures.decided(batch);
      },
      changed,
      unresolved: (doubt, state) => {
        if (doubt.reservationIds.length === 0) return;
        unresolved[state](doubt);
        if (state === "ended") return;
        log.error(
          { reservationIds: doubt.reservationIds },
          "told to try again before it was known: what was reserved is given back when the database answers",
        );
      },
      trouble,
    },
  });
  const changes = new Changes({
    memory,
    run: (task) => threads.run(task, BATCH_DEADLINE_MS),
    readSeats: async (reservationIds) =>
      (await readSeatsOf(drizzle(reads), reservationIds)).map(
        ({ seatId, version, status, final }): SeatNews => [seatId, version, status, final],
      ),
    slotCount: config.reservationWorkers * CHANGE_BATCHES_PER_WORKER,
    batchLimitReservations: config.batchLimitSeats,
    queueLimitReservations: config.queueLimitSeats,
    limitedCallers: [
      ...(config.holdLimitKeySeats > 0 ? (["key"] as const) : []),
      ...(config.holdLimitAddressSeats > 0 ? (["net"] as const) : []),
    ],
    observer: { changed, decided: (count, ms) => reservationFigures.changed(count, ms), trouble },
  });
  const freed = (seats: [seatId: number, version: number][]) => {
    const news = seats.map(([seatId, version]): SeatNews => [seatId, version, "available", false]);
    for (const change of news) memory.learn(...change);
    if (news.length > 0) changed(news);
  };
  openSweeper(opening, freed);
  giveBackLeft(unresolved, (task) => threads.run(task, BATCH_DEADLINE_MS), freed)
    .then(() => {
      if (config.webConcurrency === 1) unresolved.tidy();
    })
    .catch((error: unknown) => log.error({ error: messageOf(error) }, "DATA_DIR cannot be read"));

  let ending = false;
  let draining = false;
  const probes = openProbes(opening);
  const { keeper, feed, trust } = openMemory(opening, { memory, reads, probes, presence, publisher, tail });
  const gate = openGate(opening, probes, {
    onChange: (state, reason) => {
      figures.databaseChanged(state, reason);
      if (draining) return;
      batcher.refuse(state === "up" ? undefined : "unavailable");
      changes.refuse(state === "up" ? undefined : "unavailable");
    },
    rehearse: () => threads.run({ kind: "rehearse" }, BATCH_DEADLINE_MS),
    // Commits may have been lost on the way here: what memory knows of them is not so any more.
    onNewEpoch: () => {
      memory.clear();
      keeper.forget();
      catalogue.forget();
      keeper.catchUp().catch((error: Error) => log.warn({ error: messageOf(error) }, "memory starts cold"));
    },
    onCatalogue: (revision) => catalogue.noticed(revision),
    onPooled: () => {
      log.error(POOLED);
      // Engines find each other by the locks of their sessions, which may now be anybody's.
      trust.close();
    },
  });

  return {
    batcher,
    changes,
    databaseUp: () => gate.isUp,
    databaseAnswers: () => gate.answers,
    ready: () => gate.isUp && !ending && keeper.isFilled,
    completeSince: () => keeper.completeSince,
    refresh: () => {
      metrics.queueSeats.set(batcher.queueSeats);
      metrics.queueLimitSeats.set(config.queueLimitSeats);
      metrics.seatsRemembered.set(memory.size);
      metrics.feedUp.set(feed?.isLive ? 1 : 0);
      metrics.workerThreads.set({ pool: "reservation", state: "running" }, threads.threadCount);
      metrics.workerThreads.set(
        { pool: "reservation", state: "busy" },
        Math.min(batcher.busySlots + changes.busySlots, threads.threadCount),
      );
    },
    announceEnd: () => {
      ending = true;
    },
    drain: async () => {
      draining = true;
      batcher.refuse("draining");
      changes.refuse("draining");
      await Promise.all([batcher.drained(), changes.drained()]);
    },
  };
}

function openThreads({ config, parts, figures, lifecycle }: Opening, presence: number): ThreadPool {
  const settings: ReservationSettings = {
    databaseUrl: parts.databaseUrl,
    redisUrls: parts.redisUrls,
    redisTls: redisTlsOf(config),
    keyPrefix: keyPrefixOf(parts),
    presence,
    connectionLimit: config.batchesPerWorker + CHANGE_BATCHES_PER_WORKER,
    statementTimeoutMs: config.statementTimeoutMs,
    connectTimeoutMs: config.connectTimeoutMs,
    lockTtlMs: config.lockTtlMs,
    redisTimeoutMs: config.redisTimeoutMs,
    logLevel: config.logLevel,
  };
  const threads = new ThreadPool({
    name: "reservation",
    threadCount: config.reservationWorkers,
    tasksPerThread: config.batchesPerWorker + CHANGE_BATCHES_PER_WORKER,
    settings,
    onSample: (thread, sample) => figures.sampled(thread, sample),
    onRestart: () => figures.restarted("reservation"),
  });
  lifecycle.onClose("reservation threads", () => threads.close());
  return threads;
}

/** @param onFreed hears of seats that are free again, with their versions. */
function openSweeper(
  { config, parts, metrics, log, lifecycle }: Opening,
  onFreed: (freed: [seatId: number, version: number][]) => void,
): void {
  const { statementTimeoutMs, connectTimeoutMs } = config;
  const { databaseUrl } = parts;
  const sweeper = new Sweeper({ databaseUrl, statementTimeoutMs, connectTimeoutMs, log });
  const loop = new SweeperLoop(sweeper, ({ active, freed, overdue }) => {
    metrics.sweeperActive.set(active ? 1 : 0);
    if (overdue) {
      metrics.overdueHolds.set(overdue.count);
      metrics.overdueHoldSeconds.set(overdue.oldestSeconds);
    }
    metrics.sweptSeats.inc(freed.length);
    onFreed(freed);
  });
  lifecycle.onClose("sweeper", () => loop.stop());
}
