import { setTimeout as delay } from "node:timers/promises";

/** Clients of what is in doubt wait this long for the truth; then they are told to try again. */
const DOUBT_DEADLINE_MS = 5000;
const SETTLE_INTERVAL_MS = 250;

export interface Doubt<Answer> {
  /** Asks the database; `told`: the clients were given up. */
  ask(told: boolean): Promise<Answer>;
  isSettled(answer: Answer): boolean;
  /** Tells the clients to try again. */
  giveUp(): void;
}

/** Asks until the database has said what became of it; the clients are given up once, past the deadline. */
export async function untilSettled<Answer>({
  ask,
  isSettled,
  giveUp,
}: Doubt<Answer>): Promise<{ result: Answer; told: boolean }> {
  const deadline = performance.now() + DOUBT_DEADLINE_MS;
  for (let told = false; ; ) {
    const result = await ask(told);
    if (isSettled(result)) return { result, told };
    if (!told && performance.now() > deadline) {
      told = true;
      giveUp();
    }
    await delay(SETTLE_INTERVAL_MS);
  }
}
