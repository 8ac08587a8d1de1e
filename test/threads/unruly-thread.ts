import { setTimeout as delay } from "node:timers/promises";
import { parentPort, threadId, workerData } from "node:worker_threads";
import { textTask } from "../../src/threads/text-task.ts";

/** What a thread of these tests is told at its start. */
export interface UnrulySettings {
  /** One cell: counted up by a thread that spins, for as long as it does. */
  spins: Int32Array;
}

/** What it is told to do. */
export type UnrulyTask = "name your thread" | "wait" | "throw" | "exit" | "spin" | "wait, then spin";

export const WAIT_MS = 150;

/** As the engine's threads do, only more often: a thread that spins falls silent. */
setInterval(() => parentPort?.postMessage({ kind: "thread-sample", threadId }), 20);

export default textTask(run);

/** @returns the thread's id. */
async function run(task: UnrulyTask): Promise<number> {
  const { spins }: UnrulySettings = workerData;
  switch (task) {
    case "name your thread":
      return threadId;
    case "wait":
      await delay(WAIT_MS);
      return threadId;
    case "throw":
      throw new Error("told to throw");
    case "exit":
      return process.exit(1);
    case "wait, then spin":
      await delay(WAIT_MS);
      return run("spin");
    case "spin":
      for (;;) Atomics.add(spins, 0, 1);
    default:
      throw new Error(`unknown task ${task satisfies never}`);
  }
}
