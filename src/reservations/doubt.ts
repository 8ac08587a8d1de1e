import { setTimeout as delay } from "node:timers/promises";

/** How long clients wait while the outcome is in doubt. Then they are told to try again. */
const DOUBT_DEADLINE_MS = 5000;
const SETTLE_INTERVAL_MS = 250;

export interface Doubt<Answer> {
  /** Asks the database. `told` says whether the clients were already told to try again. */
  ask(told: boolean): Promise<Answer>;
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
}: Doubt<Answer>): Promise<{ result: Answer | undefined; told: boolean }> {
  const deadline = performance.now() + DOUBT_DEADLINE_MS;
  for (let told = false; ; ) {
    const result = await ask(told);
    if (isSettled(result)) return { result, told };
    if (!told && performance.now() > deadline) {
      told = true;
      if (!giveUp()) return { result: undefined, told };
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
