import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { type Backlog, type LedgerPosition, readBacklog, readNewestCursor } from "../postgres/ledger.ts";
import type { Logger } from "../telemetry/log.ts";
import type { PublisherReport } from "../threads/messages.ts";

const INTERVAL_MS = 1000;
/** A writing transaction older than this is logged once, by name. */
const HORIZON_WARNING_SECONDS = 10;

/** Measures once a second how much is waiting to be published, and which transaction delays it. */
export class BacklogWatch {
  private measuredAt = Number.NEGATIVE_INFINITY;
  private backlog: Backlog = { rows: 0, seconds: 0, horizonSeconds: 0, culprit: null };
  private warnedOf: string | null = null;

  constructor(private readonly log: Logger) {}

  /** @param cursor undefined while the sink is not open; the backlog then starts at the newest stored cursor */
  async measure(session: NodePgDatabase, cursor: LedgerPosition | undefined): Promise<void> {
    const now = performance.now();
    if (now - this.measuredAt < INTERVAL_MS) return;
    this.measuredAt = now;
    this.backlog = await readBacklog(session, cursor ?? (await readNewestCursor(session)));
    const { culprit, horizonSeconds: seconds } = this.backlog;
    const named = seconds > HORIZON_WARNING_SECONDS ? culprit : null;
    if (named && named !== this.warnedOf)
      this.log.warn({ culprit: named, seconds }, "a long-running write transaction delays publishing");
    this.warnedOf = named;
  }

  report(): Pick<PublisherReport, "backlogRows" | "backlogSeconds" | "horizonSeconds"> {
    const { rows, seconds, horizonSeconds } = this.backlog;
    return { backlogRows: rows, backlogSeconds: seconds, horizonSeconds };
  }
}
