const POLL_MS = 20;

type Truthy<T> = Exclude<T, false | 0 | "" | null | undefined>;

/**
 * Waits for a condition instead of sleeping: polls until it is truthy and gives its value. A condition that
 * throws counts as "not yet"; one that hangs (a paused server never answers) does not outlive the deadline.
 * @throws naming `what` was waited for, with the condition's last error as cause.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { deadlineMs, what }: { deadlineMs: number; what: string },
): Promise<Truthy<T>> {
  const deadline = Date.now() + deadlineMs;
  let lastError: unknown;
  while (Date.now() < deadline) {
    try {
      const value = await within(Promise.resolve(condition()), deadline - Date.now(), what);
      if (value) return value as Truthy<T>;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    await Bun.sleep(POLL_MS);
  }
  throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause: lastError });
}

/**
 * The promise's outcome, or a rejection when it takes longer: nothing in a test may wait for ever.
 * @throws naming `what` took too long.
 */
export async function within<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`longer than ${timeoutMs} ms: ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
