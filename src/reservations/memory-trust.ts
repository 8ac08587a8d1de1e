import { type Company, TRUST_MS } from "../postgres/presence.ts";

/** Between two looks at who else uses the database. */
const LOOK_INTERVAL_MS = 1000;
/** While a look found sessions that are only just opening, or could not be had. */
const LOOK_AGAIN_MS = 250;

export interface MemoryTrustOptions {
  /** This process among those that `readCompany` finds. */
  presence: number;
  readCompany(): Promise<Company>;
  /** Whether the change feed carries that process's changes to this one. */
  hears(presence: number): boolean;
  isFeedLive(): boolean;
  /** Reads into memory what was committed before the call. */
  catchUp(): Promise<void>;
  /**
   * How many others there are of whose changes nothing is heard: told when two looks in a row find some, since one
   * may meet a session that is only just opening, and with 0 when none is left.
   */
  onUnheard(count: number): void;
}

/**
 * Whether memory may refuse a seat by itself. It may while every process that can change seats of this database is
 * this one, or is heard through the change feed.
 *
 * States: untrusted → (a look finds nobody unheard; a catch-up read that began after it is through) → trusted →
 * (a look finds somebody unheard or misses somebody who was heard, the last good look is older than 3 s, or the feed
 * with others is lost) → untrusted.
 *
 * Why no window remains: the sessions that can free a seat that was sold for good hold a presence lock from their
 * first moment, and free none before they are 3.5 s old (`isSeenByAll`). So a look that found nobody vouches for the
 * 3 s after it was sent, whoever comes meanwhile and whatever becomes of the connection. A process that was stopped
 * or whose machine slept finds its last look too old, by either clock. The catch-up takes in what those have changed
 * who were there and went.
 */
export class MemoryTrust {
  private isAlone = false;
  /** Who else was there at the last good look, all of them heard. */
  private others: number[] = [];
  private isCaughtUp = false;
  /** How long the last good look counts, by the steady clock and by that of the wall, which goes on in a machine's sleep. */
  private untilSteadyMs = Number.NEGATIVE_INFINITY;
  private untilWallMs = Number.NEGATIVE_INFINITY;
  /** Counts the losses of trust: what began before one is worth nothing after it. */
  private lapses = 0;
  private catchingUp = false;
  /** At the last look. */
  private unheardCount = 0;
  private isReported = false;
  private looking = false;
  private closed = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: MemoryTrustOptions) {
    void this.look();
  }

  get isTrusted(): boolean {
    return (
      this.isCaughtUp &&
      (this.isAlone || this.options.isFeedLive()) &&
      performance.now() < this.untilSteadyMs &&
      Date.now() < this.untilWallMs
    );
  }

  /** The change feed was lost, or is back: what it heard of others is to be looked at again. */
  feedChanged(): void {
    if (!this.isAlone) this.lapse();
    void this.look();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  private async look(): Promise<void> {
    if (this.looking || this.closed) return;
    this.looking = true;
    clearTimeout(this.timer);
    const [sentAtSteadyMs, sentAtWallMs] = [performance.now(), Date.now()];
    const { lapses } = this;
    const company = await this.options.readCompany().catch(() => undefined);
    this.looking = false;
    if (company && lapses === this.lapses) this.judge(company, sentAtSteadyMs, sentAtWallMs);
    const isSettled = company !== undefined && company.unnumberedCount === 0 && lapses === this.lapses;
    if (!this.closed) {
      this.timer = setTimeout(() => void this.look(), isSettled ? LOOK_INTERVAL_MS : LOOK_AGAIN_MS);
    }
  }

  private judge({ presences, unnumberedCount }: Company, sentAtSteadyMs: number, sentAtWallMs: number): void {
    const others = presences.filter((presence) => presence !== this.options.presence);
    const unheard = others.filter((presence) => !this.options.hears(presence)).length + unnumberedCount;
    this.report(unheard);
    this.isAlone = others.length === 0 && unnumberedCount === 0;
    if (unheard > 0) {
      this.lapse();
      return;
    }
    // Who is gone may have died between a commit and telling it: the feed stays live for 2 s, and its loss means nothing
    // to an engine that is alone.
    const isSomebodyGone = this.others.some((other) => !others.includes(other));
    this.others = others;
    // Somebody may have come and gone since.
    if (isSomebodyGone || sentAtSteadyMs >= this.untilSteadyMs || sentAtWallMs >= this.untilWallMs)
      this.lapse();
    this.untilSteadyMs = sentAtSteadyMs + TRUST_MS;
    this.untilWallMs = sentAtWallMs + TRUST_MS;
    if (!this.isCaughtUp && !this.catchingUp) void this.recover();
  }

  private report(unheard: number): void {
    const isLasting = unheard > 0 && this.unheardCount > 0;
    if (isLasting !== this.isReported && (isLasting || unheard === 0)) {
      this.isReported = isLasting;
      this.options.onUnheard(unheard);
    }
    this.unheardCount = unheard;
  }

  private async recover(): Promise<void> {
    const { lapses } = this;
    this.catchingUp = true;
    try {
      await this.options.catchUp();
      this.isCaughtUp = lapses === this.lapses;
    } catch {
      // The database cannot be read now; the next look begins again.
    } finally {
      this.catchingUp = false;
    }
  }

  private lapse(): void {
    this.lapses++;
    this.isCaughtUp = false;
    this.untilSteadyMs = Number.NEGATIVE_INFINITY;
    this.untilWallMs = Number.NEGATIVE_INFINITY;
  }
}
