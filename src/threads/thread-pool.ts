import { Piscina } from "piscina";
import type { ThreadSample } from "./messages.ts";
import { resultOf, taskText } from "./text-task.ts";

export interface ThreadPoolOptions {
  /** The name of the worker's file below `workers/`, without extension; also its name in metrics. */
  name: "reservation" | "publisher";
  threadCount: number;
  /** Tasks that one thread works on at once. */
  tasksPerThread: number;
  /** Sent to each thread at its start. */
  settings: unknown;
  onSample(thread: string, sample: ThreadSample): void;
  /** Called when a thread has died and is being replaced; its tasks were rejected. */
  onRestart(): void;
}

/**
 * A Piscina pool of long-lived threads that hold sockets. Nothing queues here: at most `threadCount *
 * tasksPerThread` tasks run, and one more is refused.
 */
export class ThreadPool {
  private readonly piscina: Piscina;
  private readonly numbers = new Map<number, number>();
  /** When each thread last sent something, by thread id; threads send a sample once a second. */
  private readonly heardAt = new Map<number, number>();
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
    this.piscina.on("message", (sample: ThreadSample) => {
      this.heardAt.set(sample.threadId, performance.now());
      options.onSample(`${options.name}-${this.numberOf(sample.threadId)}`, sample);
    });
    this.piscina.on("workerCreate", ({ id }: { id: number }) => this.heardAt.set(id, performance.now()));
    this.piscina.on("error", () => undefined);
    this.piscina.on("workerDestroy", () => {
      if (!this.closing) options.onRestart();
    });
  }

  /**
   * Runs a task on the least busy thread. At the deadline the call rejects, and threads that were silent for
   * half of it are considered stuck: they are ended, with all their tasks, and replaced. (Piscina's
   * AbortSignal does not work here: a thread with an abortable task gets no second one.)
   * @throws if the thread dies, is late, or the task throws; the task may have had its effect
   */
  run<Result>(task: unknown, deadlineMs: number): Promise<Result> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        // Checks again later, as the thread may have become stuck in the second half.
        for (const inMs of [0, deadlineMs / 2]) {
          setTimeout(() => this.endSilentThreads(performance.now() - deadlineMs / 2), inMs).unref();
        }
        reject(new Error(`no result within ${deadlineMs} ms`));
      }, deadlineMs);
      this.piscina
        .run(taskText(task))
        .then((text) => resolve(resultOf<Result>(text)), reject)
        .finally(() => clearTimeout(timer));
    });
  }

  get threadCount(): number {
    return this.piscina.threads.length;
  }

  async close(): Promise<void> {
    this.closing = true;
    await this.piscina.destroy();
  }

  private endSilentThreads(since: number): void {
    for (const thread of this.piscina.threads) {
      if ((this.heardAt.get(thread.threadId) ?? 0) < since) void thread.terminate();
    }
  }

  /** Numbers threads from 1 to threadCount, so that a replacement continues its predecessor's metrics. */
  private numberOf(threadId: number): number {
    const known = this.numbers.get(threadId);
    if (known !== undefined) return known;
    const alive = new Set(this.piscina.threads.map((thread) => thread.threadId));
    for (const id of this.numbers.keys()) if (!alive.has(id)) this.numbers.delete(id);
    for (const id of this.heardAt.keys()) if (!alive.has(id)) this.heardAt.delete(id);
    const taken = new Set(this.numbers.values());
    let number = 1;
    while (taken.has(number)) number++;
    this.numbers.set(threadId, number);
    return number;
  }
}
