import { afterEach, beforeEach, jest } from "bun:test";

/** Tests of this file run on timers of their own. */
export function useFakeTimers(): void {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());
}

/** Lets everything happen that waits for no timer. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

/** Lets so much time pass on fake timers, and everything happen that follows. */
export async function after(ms: number): Promise<void> {
  jest.advanceTimersByTime(ms);
  await settle();
}

/** Rounds of a loop, each of which ends when the test says so. */
export function openRounds<Result = void>() {
  let current: PromiseWithResolvers<Result> | undefined;
  const rounds = {
    count: 0,
    run: () => {
      rounds.count++;
      current = Promise.withResolvers<Result>();
      return current.promise;
    },
    ends: (result: Result) => {
      current?.resolve(result);
      return settle();
    },
    dies: () => {
      current?.reject(new Error("the thread exited"));
      return settle();
    },
  };
  return rounds;
}

/** Whether that has ended yet. */
export function watch(ending: Promise<unknown>) {
  const watched = { isOver: false };
  void ending.then(() => Object.assign(watched, { isOver: true }));
  return watched;
}
