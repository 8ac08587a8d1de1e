import { Piscina } from "piscina";
import type { ThreadSample } from "./messages.ts";

export interface ThreadPoolOptions {
  /** Of the worker's file below `workers/`, without ending; also its name in metrics. */
  name: "reservation" | "publisher";
  threadCount: number;
  /** Tasks one thread works on at once. */
  tasksPerThread: number;
  /** Sent to each thread at its start. */
  settings: unknown;
  onSample(thread: string, sample: ThreadSample): void;
  /** A thread died and is being replaced; its tasks were rejected. */
  onRestart(): void;
}

/**
 * A Piscina pool of long-lived threads that hold sockets. Nothing queues here: callers keep at most
 * `threadCount * tasksPerThread` tasks under way, and one more is refused.
 */
export class ThreadPool {
  private readonly piscina: Piscina;
  private readonly numbers = new Map<number, number>();
  private closing = false;

  constructor(options: ThreadPoolOptions) {
    this.piscina = new Piscina({
      filename: new URL(`../../workers/${options.name}.ts`, import.meta.url).href,
      workerData: options.settings,
      minThreads: options.threadCount,
      maxThreads: options.threadCount,
      concurrentTasksPerWorker: options.tasksPerThread,
      maxQueue: options.threadCount * options.tasksPerThread,
      idleTimeout: Number.POSITIVE_INFINITY,
      // Blocking on shared memory between tasks would stop the thread's sockets.
      atomics: "disabled",
      recordTiming: false,
    });
    this.piscina.on("message", (sample: ThreadSample) =>
      options.onSample(`${options.name}-${this.numberOf(sample.threadId)}`, sample),
    );
    this.piscina.on("error", () => undefined);
    this.piscina.on("workerDestroy", () => {
      if (!this.closing) options.onRestart();
    });
  }

  /**
   * Runs a task on the least busy thread. A thread that has not answered within `deadlineMs` is ended, with
   * all its tasks, and replaced.
   * @throws when the thread dies or the task throws; the task may have had its effect.
   */
  async run<Result>(task: unknown, deadlineMs: number): Promise<Result> {
    const watchdog = new AbortController();
    const timer = setTimeout(() => watchdog.abort(), deadlineMs);
    try {
      return await this.piscina.run(task, { signal: watchdog.signal });
    } finally {
      clearTimeout(timer);
    }
  }

  get threadCount(): number {
    return this.piscina.threads.length;
  }

  async close(): Promise<void> {
    this.closing = true;
    await this.piscina.destroy();
  }

  /** Threads are known by 1..threadCount, so that a replaced one takes over its predecessor's series. */
  private numberOf(threadId: number): number {
    const known = this.numbers.get(threadId);
    if (known !== undefined) return known;
    const alive = new Set(this.piscina.threads.map((thread) => thread.threadId));
    for (const id of this.numbers.keys()) if (!alive.has(id)) this.numbers.delete(id);
    const taken = new Set(this.numbers.values());
    let number = 1;
    while (taken.has(number)) number++;
    this.numbers.set(threadId, number);
    return number;
  }
}
