/** A process that lived this long has started well; its replacement starts at once. */
const LIVED_WELL_MS = 30_000;
const FIRST_DELAY_MS = 100;
/** An unavailable database stops every start, and more frequent attempts would only fill the log. */
const DELAY_LIMIT_MS = 10_000;

/** Computes the delay before an ended process is replaced: longer each time it ends soon again, up to a limit. */
export class RestartDelay {
  private deathsInARow = 0;

  /** @returns milliseconds to wait after a process that lived this long */
  after(livedMs: number): number {
    this.deathsInARow = livedMs >= LIVED_WELL_MS ? 0 : this.deathsInARow + 1;
    if (this.deathsInARow === 0) return 0;
    return Math.min(DELAY_LIMIT_MS, FIRST_DELAY_MS * 2 ** (this.deathsInARow - 1));
  }
}
