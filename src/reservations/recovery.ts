import { setTimeout as delay } from "node:timers/promises";

/** How long clients wait while an outcome is unknown. Then they are told to try again. */
const RECOVERY_DEADLINE_MS = 5000;
const SETTLE_INTERVAL_MS = 250;

export interface Recovery<Answer> {
  /** Asks the database. `notified` says whether the clients were already told to try again. */
  ask(notified: boolean): Promise<Answer>;
  isSettled(answer: Answer): boolean;
  /**
   * Tells the clients to try again.
   * @returns whether to go on asking.
   */
  giveUp(): boolean;
}

/**
 * Asks the database until it has said what the outcome is. Past the deadline, the clients are told once to
 * try again.
 * @returns no result if `giveUp` has ended the asking.
 */
export async function untilSettled<Answer>({
  ask,
  isSettled,
  giveUp,
}: Recovery<Answer>): Promise<{ result: Answer | undefined; notified: boolean }> {
  const deadline = performance.now() + RECOVERY_DEADLINE_MS;
  for (let notified = false; ; ) {
    const result = await ask(notified);
    if (isSettled(result)) return { result, notified };
    if (!notified && performance.now() > deadline) {
      notified = true;
      if (!giveUp()) return { result: undefined, notified };
    }
    await delay(SETTLE_INTERVAL_MS);
  }
}

/** Asks until the database answers. */
export async function untilRead<Answer>(read: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    try {
      return await read();
    } catch {
      await delay(SETTLE_INTERVAL_MS);
    }
  }
}
