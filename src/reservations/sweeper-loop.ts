import { Loop } from "../runtime/loop.ts";
import type { Sweeper, SweeperReport } from "./sweeper.ts";

/**
 * The pause between two rounds. With up to a second of jitter, every hold that is over is swept within 2 s.
 */
const PAUSE_MS = 250;
/** The time that a running round gets when the process ends. */
const LAST_ROUND_MS = 2000;

/** Runs the sweeper: a round four times a second, and the next one at once while more is due. */
export class SweeperLoop {
  private readonly loop: Loop;

  constructor(
    private readonly sweeper: Pick<Sweeper, "round" | "letGo">,
    onReport: (report: SweeperReport) => void,
  ) {
    this.loop = new Loop(async () => {
      const report = await sweeper.round();
      onReport(report);
      return report.more ? 0 : PAUSE_MS;
    });
  }

  async stop(): Promise<void> {
    // A round that hangs on a silent database ends with the process. It is done as a whole or not at all.
    if (await this.loop.stop(LAST_ROUND_MS)) await this.sweeper.letGo();
  }
}
