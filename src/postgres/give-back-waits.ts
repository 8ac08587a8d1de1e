/**
 * Attempts on sessions that not every engine has seen yet, before the seats are given back anyway. Otherwise
 * an unstable connection could prevent that forever. Attempts come every 250 ms, and a session that lasts
 * needs 14.
 */
export const ATTEMPT_LIMIT = 40;

/** Batches that are counted. Beyond that the oldest is forgotten and starts again. */
const BATCH_LIMIT = 1000;

/**
 * Counts, for each batch in doubt, the attempts to give it back on a session that was too young. It counts
 * attempts, not time: after an outage of the database every session is young, and no engine has seen it yet.
 */
export class GiveBackWaits {
  /** By the first reservation of the batch. */
  private readonly attempts = new Map<string, number>();

  /**
   * Counts an attempt.
   * @returns whether there were enough attempts, so that the batch is given back now
   */
  attempted(reservationId: string): boolean {
    const count = (this.attempts.get(reservationId) ?? 0) + 1;
    this.attempts.set(reservationId, count);
    const [oldest] = this.attempts.size > BATCH_LIMIT ? this.attempts.keys() : [];
    if (oldest !== undefined) this.attempts.delete(oldest);
    return count > ATTEMPT_LIMIT;
  }

  /** Forgets a batch that is settled. */
  over(reservationId: string): void {
    this.attempts.delete(reservationId);
  }
}
