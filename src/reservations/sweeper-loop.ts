import { setTimeout as delay } from "node:timers/promises";
import type { Sweeper, SweeperReport } from "./sweeper.ts";

/** With the jitter of a second, every hold that is over is swept within 2 s. */
const PAUSE_MS = 250;
/** What a round under way at the end still gets. */
const LAST_ROUND_MS = 2000;

/** Keeps the sweeper at work: a round four times a second, and at once while more is due. */
export class SweeperLoop {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isStopping = false;
  private current: Promise<void>;

  constructor(
    private readonly sweeper: Pick<Sweeper, "round" | "letGo">,
    private readonly onReport: (report: SweeperReport) => void,
  ) {
    this.current = this.round();
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    clearTimeout(this.timer);
    const hung = delay(LAST_ROUND_MS, "hung" as const, { ref: false });
    // A round that hangs on a silent database ends with the process, done as a whole or not at all.
    if ((await Promise.race([hung, this.current])) === "hung") return;
    await this.sweeper.letGo();
  }

  private async round(): Promise<void> {
    const report = await this.sweeper.round();
    this.onReport(report);
    if (this.isStopping) return;
    this.timer = setTimeout(
      () => {
        this.current = this.round();
      },
      report.more ? 0 : PAUSE_MS,
    );
  }
}
