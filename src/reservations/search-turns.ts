/**
 * How many seats the searches of one turn of the event loop look at before no other may begin in it. A single search
 * may take all of them.
 */
const TURN_LIMIT_STEPS = 500_000;
/** Maximum number of searches that wait. Any more are refused. */
const WAITING_LIMIT = 1000;
/** The longest wait for a turn. */
const DEADLINE_MS = 1000;

interface Waiting {
  since: number;
  go(mayGo: boolean): void;
}

/**
 * Spreads searches over the turns of the event loop. A costly search takes 11 ms of the main thread. Without turns, 64
 * clients that sent costly searches without a pause made every other request wait for 64 searches at each step: when it
 * was read, and for each answer of the database. Cheap searches begin at once.
 *
 * There is always something that lets the next search begin: `spent` while the turn has steps left, and otherwise the
 * next turn, which `spent` has planned.
 */
export class SearchTurns {
  private spentSteps = 0;
  private readonly waiting: Waiting[] = [];
  private isTurnPlanned = false;

  /**
   * Returns true if the search may begin now. Otherwise returns a promise, which becomes true when the search may
   * begin, and false if it has waited too long. The caller then searches without awaiting anything first, and calls
   * `spent`.
   */
  enter(): true | Promise<boolean> {
    if (this.waiting.length === 0 && this.spentSteps < TURN_LIMIT_STEPS) return true;
    if (this.waiting.length >= WAITING_LIMIT) return Promise.resolve(false);
    return new Promise((go) => this.waiting.push({ since: performance.now(), go }));
  }

  /** Ends the search that entered, after this many looks at seats. */
  spent(steps: number): void {
    this.spentSteps += steps;
    if (this.spentSteps < TURN_LIMIT_STEPS) this.letNextGo();
    if (this.isTurnPlanned || this.spentSteps === 0) return;
    this.isTurnPlanned = true;
    setImmediate(() => {
      this.isTurnPlanned = false;
      this.spentSteps = 0;
      this.letNextGo();
    });
  }

  private letNextGo(): void {
    for (;;) {
      const next = this.waiting.shift();
      if (!next) return;
      const isLate = performance.now() - next.since > DEADLINE_MS;
      next.go(!isLate);
      if (!isLate) return;
    }
  }
}
