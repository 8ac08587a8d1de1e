import { setTimeout as delay } from "node:timers/promises";
import type { SweeperReport } from "./messages.ts";
import type { ThreadPool } from "./thread-pool.ts";

/** Its statements have time limits; a thread silent for half of it is replaced. */
const ROUND_DEADLINE_MS = 10_000;
/** With the jitter of a second, every hold that is over is swept within 2 s. */
const PAUSE_MS = 250;
const CLOSE_DEADLINE_MS = 1000;
/** What a round under way at the end still gets. */
const LAST_ROUND_MS = 2000;

/** Keeps the sweeper's thread at work: a round four times a second, and at once while more is due. */
export class SweeperLoop {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isStopping = false;
  private current: Promise<void>;

  constructor(
    private readonly pool: ThreadPool,
    private readonly onReport: (report: SweeperReport) => void,
  ) {
    this.current = this.round();
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    clearTimeout(this.timer);
    const hung = delay(LAST_ROUND_MS, "hung" as const, { ref: false });
    // A round that hangs on a silent database has the thread: it ends with it, done as a whole or not at all.
    if ((await Promise.race([hung, this.current])) === "hung") return;
    await this.pool.run("close", CLOSE_DEADLINE_MS).catch(() => undefined);
  }

  private async round(): Promise<void> {
    const report = await this.pool
      .run<SweeperReport>("round", ROUND_DEADLINE_MS)
      .catch((): SweeperReport | undefined => undefined);
    if (report) this.onReport(report);
    if (this.isStopping) return;
    this.timer = setTimeout(
      () => {
        this.current = this.round();
      },
      report?.more ? 0 : PAUSE_MS,
    );
  }
}
