import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { LOCK_TTL_LIMIT_MS } from "../../config/config.ts";
import { redisTlsOf } from "../../config/credential-relations.ts";
import type { Opening } from "../../parts/context.ts";
import { LockAudit } from "../../redis/lock-audit.ts";
import type { SeatMemory } from "../../venue/seat-memory.ts";
import { Auditor } from "./auditor.ts";
import { AuditorLoop } from "./auditor-loop.ts";
import { SeatAudit } from "./seat-audit.ts";

/**
 * A round takes Postgres 6.5 ms of CPU time and this thread 1.5 (seen, with every seat sold): together less than half
 * a hundredth of a core, and a house of 100,000 seats is walked through in seven minutes.
 */
const PAUSE_MS = 2000;
const SLICE_SEATS = 500;

export interface AuditNeighbours {
  reads: pg.Pool;
  memory: SeatMemory;
  /** Of the seats' locks in Redis. */
  keyPrefix: string;
  databaseUp(): boolean;
}

/**
 * Opens the background auditor. It reads on the readers' connections, and only where that leaves them one; of several
 * processes each audits its own memory, and the seats and locks from a place of its own.
 */
export function openAudit(
  { config, parts, metrics, log, lifecycle }: Opening,
  { reads, memory, keyPrefix, databaseUp }: AuditNeighbours,
): void {
  const { redisUrls } = parts;
  const locks =
    redisUrls.length === 0
      ? undefined
      : new LockAudit({
          ...{ redisUrls, redisTls: redisTlsOf(config), keyPrefix, timeoutMs: config.redisTimeoutMs },
          ttlLimitMs: LOCK_TTL_LIMIT_MS,
        });
  if (locks) lifecycle.onClose("audit of locks", () => locks.close());
  const auditor = new Auditor({
    seats: new SeatAudit(drizzle(reads), memory, SLICE_SEATS),
    ...(locks && { locks }),
    metrics,
    log,
  });
  const inUse = () => reads.totalCount - reads.idleCount;
  const loop = new AuditorLoop(auditor, {
    // All processes together ask the database as much as one would.
    pauseMs: PAUSE_MS * config.webConcurrency,
    isUnwelcome: () => !databaseUp() || reads.waitingCount > 0 || inUse() >= reads.options.max - 1,
  });
  lifecycle.onClose("auditor", () => loop.stop());
}
