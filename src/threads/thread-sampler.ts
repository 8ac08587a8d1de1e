import { monitorEventLoopDelay } from "node:perf_hooks";
import { threadId } from "node:worker_threads";
import { takeDroppedLogLines } from "../telemetry/log-output.ts";
import type { ThreadSample } from "./messages.ts";

const SAMPLE_INTERVAL_MS = 1000;
const LAG_RESOLUTION_MS = 100;

/**
 * Sends the calling thread's heap and event-loop metrics once a second, with what the thread adds. Bun
 * reports the heap by thread here, and nothing about garbage collections.
 * @returns functions that stop it and that send a sample now
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
 * Returns undefined if the process has no free descriptor: Bun then throws, as it reads a file of /proc.
 * Thrown in a timer this ended the engine (tried with 1,000 connections and 600 descriptors).
 */
function memoryUsage(): NodeJS.MemoryUsage | undefined {
  try {
    return process.memoryUsage();
  } catch {
    return undefined;
  }
}
