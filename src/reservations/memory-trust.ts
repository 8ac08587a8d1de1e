import { type Company, TRUST_MS } from "../postgres/presence.ts";
import { Loop } from "../runtime/loop.ts";

/** The time between two looks at the other engines on the database. */
const LOOK_INTERVAL_MS = 1000;
/** The same time after a look that failed or met sessions that are just opening. */
const LOOK_AGAIN_MS = 250;

export interface MemoryTrustOptions {
  /** The number that identifies this process in the result of `readCompany`. */
  presence: number;
  readCompany(): Promise<Company>;
  /** Whether the change feed carries that process's changes to this one. */
  hears(presence: number): boolean;
  isFeedLive(): boolean;
  /** Reads into memory everything that was committed before the call. */
  catchUp(): Promise<void>;
  /** Called after each look that succeeded, with the number of other engines that are not heard. */
  onLook(unheardCount: number): void;
  /**
   * Reports how many other engines are not heard. Called when two looks in a row find some, because a single look may
   * meet a session that is just opening. Called with 0 when none is left.
   */
  onUnheard(count: number): void;
}

/**
 * Decides whether memory may refuse a seat by itself. It may while every other process that can change seats of this
 * database is heard through the change feed, or there is none.
 *
 * States:
 * - untrusted: left when a look finds no unheard engine, and a catch-up that began after it is complete.
 * - trusted: left when a look finds an unheard engine or misses one that was heard, when the last good look is older
 *   than 3 s, or when the feed with others is lost.
 *
 * Why no gap remains: sessions that can free a seat that was sold for good hold a presence lock from their first
 * moment, and free none before they are 3.5 s old (`isSeenByAll`). So a look that found nobody is valid for 3 s after
 * it was sent, even if another engine starts or the connection breaks. A process that was stopped, or whose machine
 * slept, finds its last look too old by one of its two clocks. The catch-up reads the changes of engines that have
 * gone.
 */
export class MemoryTrust {
  private isAlone = false;
  /** The other processes at the last good look, all of them heard. */
  private others: number[] = [];
  private isCaughtUp = false;
  /** The last good look is valid until this time, by two clocks: only the wall clock goes on while a machine sleeps. */
  private untilSteadyMs = Number.NEGATIVE_INFINITY;
  private untilWallMs = Number.NEGATIVE_INFINITY;
  /** Counts the losses of trust: a look or catch-up that began before one does not count after it. */
  private lapses = 0;
  private catchingUp = false;
  /** How many engines were not heard at the last look. */
  private unheardCount = 0;
  private isReported = false;
  private readonly loop: Loop;

  constructor(private readonly options: MemoryTrustOptions) {
    this.loop = new Loop(() => this.look());
  }

  get isTrusted(): boolean {
    return (
      this.isCaughtUp &&
      (this.isAlone || this.options.isFeedLive()) &&
      performance.now() < this.untilSteadyMs &&
      Date.now() < this.untilWallMs
    );
  }

  /** Called when the change feed is lost or back, because the other engines have to be looked at again. */
  feedChanged(): void {
    if (!this.isAlone) this.lapse();
    this.loop.poke();
  }

  /** Stops trusting memory, for good. */
  close(): void {
    void this.loop.stop();
    this.lapse();
  }

  private async look(): Promise<number> {
    const [sentAtSteadyMs, sentAtWallMs] = [performance.now(), Date.now()];
    const { lapses } = this;
    const company = await this.options.readCompany().catch(() => undefined);
    if (company && lapses === this.lapses) this.judge(company, sentAtSteadyMs, sentAtWallMs);
    const isSettled = company !== undefined && company.unnumberedCount === 0 && lapses === this.lapses;
    return isSettled ? LOOK_INTERVAL_MS : LOOK_AGAIN_MS;
  }

  private judge({ presences, unnumberedCount }: Company, sentAtSteadyMs: number, sentAtWallMs: number): void {
    const others = presences.filter((presence) => presence !== this.options.presence);
    const unheard = others.filter((presence) => !this.options.hears(presence)).length + unnumberedCount;
    this.options.onLook(unheard);
    this.report(unheard);
    this.isAlone = others.length === 0 && unnumberedCount === 0;
    if (unheard > 0) {
      this.lapse();
      return;
    }
    // An engine that is gone may have died after a commit and before announcing it. The loss of the feed does not show
    // that: the feed stays live for 2 s, and an engine that is alone by then ignores the loss.
    const isSomebodyGone = this.others.some((other) => !others.includes(other));
    this.others = others;
    // Without a continuous series of valid looks, an engine may have come and gone.
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
