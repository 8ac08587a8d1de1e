import { Redis } from "ioredis";

/** A constant, short pause between attempts to reconnect: Redis that is back is used again within a second. */
const RECONNECT_DELAY_MS = 200;
const CONNECT_TIMEOUT_MS = 1000;

/**
 * A connection that refuses at once rather than queueing: with ioredis's defaults a lock was still
 * pending 20 s after Redis died. It reconnects for ever; its errors are seen by those who send commands.
 */
export function connectRedis(url: string, timeoutMs: number): Redis {
  const redis = new Redis(url, {
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: () => RECONNECT_DELAY_MS,
  });
  redis.on("error", () => undefined);
  return redis;
}
