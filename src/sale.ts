import { hostname } from "node:os";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { ReservationSettings } from "./dispatch/messages.ts";
import type { PublisherLoop } from "./dispatch/publisher-loop.ts";
import { ThreadPool } from "./dispatch/thread-pool.ts";
import { DatabaseGate } from "./health/database-gate.ts";
import type { Opening } from "./opening.ts";
import { openPool } from "./postgres/connect.ts";
import { readEpoch } from "./postgres/seats.ts";
import { SeatFeed } from "./redis/seat-feed.ts";
import { Batcher, type DecidedBatch } from "./reservations/batcher.ts";
import type { ReservationFigures } from "./reservations/figures.ts";
import { MemoryKeeper } from "./reservations/memory-keeper.ts";
import { SeatMemory } from "./seats/seat-memory.ts";

/** The gate's probe has a connection of its own, so that readers of the catalogue cannot starve it. */
export const PROBE_CONNECTIONS = 1;
const PROBE_TIMEOUT_MS = 1000;

/**
 * With the default time limits no batch takes as long: lock and look (4 Redis commands), then two rounds of
 * connect and statement. A batch that does is settled like one whose answer was lost.
 */
const BATCH_DEADLINE_MS = 15_000;

export interface Sale {
  batcher: Batcher;
  databaseUp(): boolean;
  ready(): boolean;
  /** Brings the sale's gauges up to date. */
  refresh(): void;
  drain(): Promise<void>;
}

interface Neighbours {
  reads: pg.Pool;
  publisher: PublisherLoop;
  reservationFigures: ReservationFigures;
}

/** The way of a request behind HTTP: memory, batcher, worker threads; the database's gate and the change feed beside them. */
export function openSale(opening: Opening, { reads, publisher, reservationFigures }: Neighbours): Sale {
  const { config, metrics, figures, log } = opening;
  const threads = openThreads(opening);
  const memory = new SeatMemory();

  const decided = (batch: DecidedBatch) => {
    reservationFigures.decided(batch);
    const won = batch.outcomes.flatMap((outcome) => (outcome.kind === "won" ? [outcome] : []));
    if (won.length === 0) return;
    publisher.poke();
    feed?.publish(won.map(({ seatId, version, final }) => [seatId, version, "reserved", final]));
  };
  const batcher = new Batcher({
    memory,
    mayTrustMemory: () => feed?.isLive ?? true,
    run: (task) => threads.run(task, BATCH_DEADLINE_MS),
    slotCount: config.reservationWorkers * config.batchesPerWorker,
    batchLimitSeats: config.batchLimitSeats,
    queueLimitSeats: config.queueLimitSeats,
    observer: {
      decided,
      gaveBack: (seats) => {
        publisher.poke();
        feed?.publish(seats.map(({ seatId, version }) => [seatId, version, "available", false]));
      },
      unresolved: (reservationIds) =>
        log.error(
          { reservationIds },
          "told to try again before it was known: given back when the database answers",
        ),
      trouble: (kind) => {
        if (kind === "doubtful") metrics.doubtfulBatches.inc();
        gate.suspect();
      },
    },
  });

  let draining = false;
  const { keeper, feed } = openMemory(opening, { memory, reads, publisher });
  const gate = openGate(opening, {
    onChange: (up) => {
      figures.databaseChanged(up);
      if (!draining) batcher.refuse(up ? undefined : "unavailable");
    },
    // Commits may have been lost on the way here: what memory knows of them is not so any more.
    onNewEpoch: () => {
      memory.clear();
      keeper.forget();
    },
  });

  return {
    batcher,
    databaseUp: () => gate.isUp,
    ready: () => gate.isUp && !draining,
    refresh: () => {
      metrics.queueSeats.set(batcher.queueSeats);
      metrics.queueLimitSeats.set(config.queueLimitSeats);
      metrics.seatsRemembered.set(memory.size);
      metrics.feedUp.set(feed?.isLive ? 1 : 0);
      metrics.workerThreads.set({ pool: "reservation", state: "running" }, threads.threadCount);
      metrics.workerThreads.set(
        { pool: "reservation", state: "busy" },
        Math.min(batcher.busySlots, threads.threadCount),
      );
    },
    drain: async () => {
      draining = true;
      batcher.refuse("draining");
      await Bun.sleep(config.drainDelayMs);
      await batcher.drained();
    },
  };
}

function openThreads({ config, parts, figures, lifecycle }: Opening): ThreadPool {
  const settings: ReservationSettings = {
    databaseUrl: parts.databaseUrl,
    redisUrls: parts.redisUrls,
    keyPrefix: keyPrefixOf(parts),
    connectionLimit: config.batchesPerWorker,
    statementTimeoutMs: config.statementTimeoutMs,
    connectTimeoutMs: config.connectTimeoutMs,
    lockTtlMs: config.lockTtlMs,
    redisTimeoutMs: config.redisTimeoutMs,
    logLevel: config.logLevel,
  };
  const threads = new ThreadPool({
    name: "reservation",
    threadCount: config.reservationWorkers,
    tasksPerThread: config.batchesPerWorker,
    settings,
    onSample: (thread, sample) => figures.sampled(thread, sample),
    onRestart: () => figures.restarted("reservation"),
  });
  lifecycle.onClose("reservation threads", () => threads.close());
  return threads;
}

interface GateEvents {
  onChange(up: boolean): void;
  onNewEpoch(): void;
}

function openGate({ config, parts, log, lifecycle }: Opening, events: GateEvents): DatabaseGate {
  const probes = openPool(
    {
      databaseUrl: parts.databaseUrl,
      connectTimeoutMs: config.connectTimeoutMs,
      statementTimeoutMs: PROBE_TIMEOUT_MS,
      name: "sentinel-probe",
      connectionLimit: PROBE_CONNECTIONS,
    },
    (error) => log.debug({ error: error.message }, "the probe's database connection was lost"),
  );
  lifecycle.onClose("probe pool", () => probes.end());
  let epoch: number | undefined;
  const probe = async () => {
    const now = await readEpoch(drizzle(probes));
    if (epoch !== undefined && now !== epoch) events.onNewEpoch();
    epoch = now;
  };
  const gate = new DatabaseGate(probe, events.onChange);
  lifecycle.onClose("database gate", () => gate.close());
  return gate;
}

interface FeedNeighbours {
  memory: SeatMemory;
  reads: pg.Pool;
  publisher: PublisherLoop;
}

/** Fills memory, and keeps it up to date with what other processes change; without Redis it is filled once. */
function openMemory(opening: Opening, { memory, reads, publisher }: FeedNeighbours) {
  const { config, parts, metrics, log, lifecycle } = opening;
  let feed: SeatFeed | undefined;
  const keeper = new MemoryKeeper(drizzle(reads), memory, () => feed?.isLive ?? false);
  lifecycle.onClose("memory keeper", () => keeper.close());
  const [redisUrl] = parts.redisUrls;
  if (redisUrl === undefined) {
    keeper.catchUp().catch((error: Error) => log.warn({ error: error.message }, "memory starts cold"));
    return { keeper, feed };
  }
  const opened = new SeatFeed({
    redisUrl,
    channel: `${keyPrefixOf(parts)}:feed`,
    processId: `${hostname()}-${process.pid}-${crypto.randomUUID().slice(0, 8)}`,
    timeoutMs: config.redisTimeoutMs,
    onChanges: (changes) => {
      for (const change of changes) memory.learn(...change);
      publisher.poke();
    },
    catchUp: async () => {
      await keeper.catchUp();
      metrics.feedCatchUps.inc();
    },
    onLive: (live) => log.debug({ live }, "the change feed between processes changed"),
  });
  feed = opened;
  lifecycle.onClose("change feed", () => opened.close());
  return { keeper, feed: opened };
}

const keyPrefixOf = (parts: Opening["parts"]) => `sentinel:${parts.database.id}`;
