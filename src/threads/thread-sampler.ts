import { monitorEventLoopDelay } from "node:perf_hooks";
import { threadId } from "node:worker_threads";
import { takeDroppedLogLines } from "../telemetry/log-output.ts";
import type { ThreadSample } from "./messages.ts";

const SAMPLE_INTERVAL_MS = 1000;
const LAG_RESOLUTION_MS = 100;

/**
 * Gives the calling thread's heap and event-loop figures once a second, with whatever the thread adds.
 * Bun counts the heap by thread here and tells nothing of its garbage collections.
 * @returns functions that stop it and that send a sample now.
 */
export function sampleThread(
  send: (sample: ThreadSample) => void,
  extra: () => Pick<ThreadSample, "pool" | "locks"> = () => ({}),
): { stop(): void; sendNow(): void } {
  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  lag.enable();
  const sendNow = () => {
    const memory = memoryUsage();
    if (!memory) return;
    const { heapUsed, heapTotal } = memory;
    const overdueMs = Math.max(0, lag.max / 1e6 - LAG_RESOLUTION_MS);
    lag.reset();
    send({
      kind: "thread-sample",
      threadId,
      heapUsedBytes: heapUsed,
      heapSizeBytes: heapTotal,
      eventLoopLagSeconds: overdueMs / 1000,
      logLinesDropped: takeDroppedLogLines(),
      ...extra(),
    });
  };
  const timer = setInterval(sendNow, SAMPLE_INTERVAL_MS);
  return {
    sendNow,
    stop: () => {
      clearInterval(timer);
      lag.disable();
    },
  };
}

/**
 * Bun reads a file of /proc for this: where the process has no descriptor left, as many connections as it may
 * have, it throws, and thrown in a timer that ended the engine: tried with 1,000 connections and 600 descriptors.
 */
function memoryUsage(): NodeJS.MemoryUsage | undefined {
  try {
    return process.memoryUsage();
  } catch {
    return undefined;
  }
}
