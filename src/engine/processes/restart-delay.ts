/** A process that lived as long has started well; the one after it is started at once. */
const LIVED_WELL_MS = 30_000;
const FIRST_DELAY_MS = 100;
/** A database that is away is met by every start; more often than this would only fill the log. */
const DELAY_LIMIT_MS = 10_000;

/** How long a process that ended is not replaced: longer each time it ends soon again, within bounds. */
export class RestartDelay {
  private deathsInARow = 0;

  /** @returns milliseconds to wait, after a process that lived this long. */
  after(livedMs: number): number {
    this.deathsInARow = livedMs >= LIVED_WELL_MS ? 0 : this.deathsInARow + 1;
    if (this.deathsInARow === 0) return 0;
    return Math.min(DELAY_LIMIT_MS, FIRST_DELAY_MS * 2 ** (this.deathsInARow - 1));
  }
}
