import { LOCK_TTL_LIMIT_MS } from "../../config/config.ts";
import { redisTlsOf } from "../../config/credential-relations.ts";
import { type Context, keyPrefixOf } from "../../parts/context.ts";
import type { Database } from "../../postgres/connect.ts";
import type { DatabaseGate } from "../../postgres/database-gate.ts";
import { LockAudit } from "../../redis/lock-audit.ts";
import type { SeatMemory } from "../../venue/seat-memory.ts";
import { Auditor } from "./auditor.ts";
import { AuditorLoop } from "./auditor-loop.ts";
import { SeatAudit } from "./seat-audit.ts";

/**
 * Pause between rounds. A round takes Postgres 6.5 ms of CPU time and this thread 1.5 ms (with every seat
 * sold): together less than half a percent of a core. A house of 100,000 seats takes seven minutes.
 */
const PAUSE_MS = 2000;
const SLICE_SEATS = 500;

export interface AuditDependencies {
  database: Database;
  memory: SeatMemory;
  gate: DatabaseGate;
}

/**
 * Opens the background auditor. It shares the read pool and skips a round unless one connection stays free.
 * Each of several processes audits its own memory, and the seats and locks from its own position.
 */
export function openAudit(
  { config, parts, metrics, log, lifecycle }: Context,
  { database, memory, gate }: AuditDependencies,
): void {
  const { redisUrls } = parts;
  const locks =
    redisUrls.length === 0
      ? undefined
      : new LockAudit({
          ...{
            redisUrls,
            redisTls: redisTlsOf(config),
            keyPrefix: keyPrefixOf(parts),
            timeoutMs: config.redisTimeoutMs,
          },
          ttlLimitMs: LOCK_TTL_LIMIT_MS,
        });
  if (locks) lifecycle.onClose("audit of locks", () => locks.close());
  const auditor = new Auditor({
    seats: new SeatAudit(database, memory, SLICE_SEATS),
    ...(locks && { locks }),
    metrics,
    log,
  });
  const reads = database.$client;
  const inUse = () => reads.totalCount - reads.idleCount;
  const loop = new AuditorLoop(auditor, {
    // All processes together ask the database as much as one would.
    pauseMs: PAUSE_MS * config.webConcurrency,
    isUnwelcome: () => !gate.isUp || reads.waitingCount > 0 || inUse() >= reads.options.max - 1,
  });
  lifecycle.onClose("auditor", () => loop.stop());
}
