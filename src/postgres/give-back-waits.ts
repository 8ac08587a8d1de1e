/**
 * A link that breaks again and again must not keep seats from being given back for ever: so many attempts on sessions that
 * not every engine has seen are enough. They come every 250 ms, and one session that lasts needs 14 of them.
 */
export const ATTEMPT_LIMIT = 40;

/** Batches at once; beyond that the oldest is forgotten, and begins again. */
const BATCH_LIMIT = 1000;

/**
 * How often each batch in doubt was to be given back on a session that was too young for it. Attempts are counted and not
 * time: after an outage of the database every session is young, and no engine has seen it yet.
 */
export class GiveBackWaits {
  /** By the first reservation of the batch. */
  private readonly attempts = new Map<string, number>();

  /** Counts an attempt. @returns whether there were enough. */
  attempted(reservationId: string): boolean {
    const count = (this.attempts.get(reservationId) ?? 0) + 1;
    this.attempts.set(reservationId, count);
    const [oldest] = this.attempts.size > BATCH_LIMIT ? this.attempts.keys() : [];
    if (oldest !== undefined) this.attempts.delete(oldest);
    return count > ATTEMPT_LIMIT;
  }

  /** The batch is settled. */
  over(reservationId: string): void {
    this.attempts.delete(reservationId);
  }
}
