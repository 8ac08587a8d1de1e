import { type ActOrigin, recordAct } from "../postgres/admin-log.ts";
import type { RunAsAdmin } from "../postgres/admin-session.ts";
import { countHolds, type HoldFilter, type HoldView, listHolds } from "../postgres/holds.ts";
import type { Changes } from "./changes.ts";

/** Maximum number of holds released at once. A confirmation waits for one such batch at most. */
const PAGE_HOLDS = 256;
/**
 * Longest time of one release. It is below the shortest IDLE_TIMEOUT_SECONDS, so that the connection is still open for
 * the answer. If holds are left, sending the same request again releases them.
 */
const RELEASE_LIMIT_MS = 4000;
/** Maximum number of holds that a dry run shows. */
const SAMPLE_HOLDS = 10;

export interface HoldReleaseOptions {
  runAsAdmin: RunAsAdmin;
  changes: Pick<Changes, "change">;
}

export interface Preview {
  actId: number;
  reservations: number;
  seats: number;
  sample: HoldView[];
}

export interface Released {
  actId: number;
  reservations: number;
  seats: number;
  /** Whether every selected hold has ended, by this release or otherwise. */
  isComplete: boolean;
}

/**
 * Releases other people's holds for administrators: as a dry run, or in batches that go the way of every other change.
 */
export class HoldRelease {
  constructor(private readonly options: HoldReleaseOptions) {}

  /**
   * Shows which holds a release would end. Changes only the log.
   * @returns undefined if too many administrators are at work.
   */
  async preview(
    filter: HoldFilter,
    origin: ActOrigin,
    asked: Record<string, unknown>,
  ): Promise<Preview | undefined> {
    const done = await this.options.runAsAdmin(async (session) => {
      const counts = await countHolds(session, filter);
      const sample = await listHolds(session, filter, { after: undefined, limit: SAMPLE_HOLDS });
      const actId = await recordAct(session, origin, "holds.previewed", { filter: asked, ...counts });
      return { actId, ...counts, sample };
    });
    return done?.result;
  }

  /**
   * Releases the holds, the oldest first, until none is left or the time is up. The act is in the log before the first
   * release, and each ledger row names it. A hold that is confirmed meanwhile stays confirmed.
   * @returns undefined if too many administrators are at work.
   */
  async release(
    filter: HoldFilter,
    origin: ActOrigin,
    asked: Record<string, unknown>,
  ): Promise<Released | undefined> {
    const done = await this.options.runAsAdmin(async (session) => {
      const deadline = performance.now() + RELEASE_LIMIT_MS;
      const actId = await recordAct(session, origin, "holds.released", { filter: asked });
      const released: Released = { actId, reservations: 0, seats: 0, isComplete: true };
      for (let after: string | undefined; ; ) {
        const page = await listHolds(session, filter, { after, limit: PAGE_HOLDS });
        await this.releasePage(page, released);
        after = page.at(-1)?.reservationId;
        if (page.length < PAGE_HOLDS) return released;
        if (performance.now() > deadline) return { ...released, isComplete: false };
      }
    });
    return done?.result;
  }

  private async releasePage(page: HoldView[], released: Released): Promise<void> {
    const outcomes = await Promise.all(
      page.map(({ reservationId }) =>
        this.options.changes.change({ reservationId, action: "release", key: null, actId: released.actId }),
      ),
    );
    for (const outcome of outcomes) {
      if (outcome.kind === "done") {
        released.reservations++;
        released.seats += outcome.facts.seatIds.length;
      } else if (outcome.kind !== "refused" && outcome.kind !== "missing") released.isComplete = false;
    }
  }
}
