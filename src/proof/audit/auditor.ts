import type { LockAudit } from "../../redis/lock-audit.ts";
import { type Logger, messageOf } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { type Drift, FINDINGS_LIMIT, OpenFindings } from "./open-findings.ts";
import type { SeatAudit } from "./seat-audit.ts";

/** Failed rounds in a row before a log line. A round that fails once is repeated; only lasting trouble is logged. */
const FAILURES_BEFORE_LINE = 3;

export interface AuditorOptions {
  seats: SeatAudit;
  /** Present if there is a Redis. */
  locks?: LockAudit;
  metrics: Metrics;
  log: Logger;
}

type Part = "seats" | "memory" | "locks";

/**
 * Does a bounded part of the proof continuously. It checks seats against their ledger, and this process's
 * memory and the Redis locks against what they may say. (The publishing process checks the topic and the
 * sealed ledger.) It stops nobody and repairs only memory. Its findings stay in the metrics until they are
 * fixed.
 */
export class Auditor {
  private readonly open: Record<Part, OpenFindings>;
  private failureCount = 0;

  constructor(private readonly options: AuditorOptions) {
    const { metrics, log, locks } = options;
    this.open = {
      seats: new OpenFindings("seats", log),
      memory: new OpenFindings("memory", log),
      locks: new OpenFindings("locks", log),
    };
    // Set from the start, because an alert on a missing metric would never fire.
    const parts: Part[] = locks ? ["seats", "memory", "locks"] : ["seats", "memory"];
    for (const part of parts) this.count(part, { lookedAt: 0, found: [] });
    metrics.auditLastRound.set(Date.now() / 1000);
  }

  /** Checks a slice of everything in a few milliseconds. Never rejects. */
  async round(): Promise<void> {
    const { metrics, log } = this.options;
    const startedAt = performance.now();
    try {
      const { seats, memory } = await this.options.seats.look();
      this.count("seats", seats);
      this.count("memory", memory);
      await this.lookAtLocks();
      metrics.auditLastRound.set(Date.now() / 1000);
      metrics.auditRoundDuration.observe((performance.now() - startedAt) / 1000);
      this.failureCount = 0;
    } catch (error) {
      if (++this.failureCount === FAILURES_BEFORE_LINE)
        log.warn({ error: messageOf(error) }, "the auditor cannot read the seats; it goes on trying");
    }
  }

  private async lookAtLocks(): Promise<void> {
    const { locks } = this.options;
    if (!locks) return;
    const { lookedAt, stray } = await locks.look(FINDINGS_LIMIT);
    const found = stray.map(({ master, key, ttlMs }) => ({
      place: `Redis ${master}: ${key.slice(0, KEY_SHOWN_CHARACTERS)}`,
      what:
        ttlMs === undefined
          ? "a seat's lock never ends"
          : `a seat's lock ends in ${ttlMs} ms, longer than any engine sets one`,
    }));
    this.count("locks", { lookedAt, found });
  }

  private count(part: Part, { lookedAt, found }: { lookedAt: number; found: Drift[] }): void {
    const { metrics } = this.options;
    this.open[part].replace(found);
    metrics.auditChecks.inc({ part }, lookedAt);
    metrics.auditDrift.set({ part }, this.open[part].count);
  }
}

/** Anybody with write access to Redis can choose a key's name. */
const KEY_SHOWN_CHARACTERS = 200;
