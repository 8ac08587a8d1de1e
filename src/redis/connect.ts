import { Redis } from "ioredis";
import type { TlsFiles } from "../config/secret-files.ts";

/** A constant, short pause between attempts to reconnect: Redis that is back is used again within a second. */
const RECONNECT_DELAY_MS = 200;
const CONNECT_TIMEOUT_MS = 1000;
/**
 * A connection that owes an answer and is silent for so long is made anew: its peer may be gone without a word,
 * and what is asked of a Redis that hangs, 5 commands a second, would be kept for its answers.
 */
const SILENCE_TIMEOUT_MS = 2000;

/** Of Node and Bun, where a certificate or the handshake is not accepted by either side. */
const TLS_REFUSAL = /^(ERR_SSL|ERR_TLS|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|INVALID_CA)/;
const ACCESS_REFUSAL = /^(WRONGPASS|NOAUTH|NOPERM)/;
/** Errors from scripts of an older Redis have the code in the middle of the message. */
const REPLICA_REFUSAL = /(^|[ -])(READONLY|MASTERDOWN) /;
/** How often a connection that only reads or publishes is checked for whether it still leads to a master. */
const FOLLOW_INTERVAL_MS = 1000;

/** Where a Redis is, and what a `rediss://` one is known by. */
export interface RedisAddress {
  url: string;
  tls?: TlsFiles | undefined;
}

/**
 * A connection that refuses at once rather than queueing: with ioredis's defaults a lock was still
 * pending 20 s after Redis died. It reconnects for ever; its errors are seen by those who send commands.
 */
export function connectRedis({ url, tls }: RedisAddress, timeoutMs: number): Redis {
  const redis = new Redis(url, {
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_TIMEOUT_MS,
    retryStrategy: () => RECONNECT_DELAY_MS,
    // The check would send INFO, which a careful operator denies, and wait up to 10 s while Redis loads its data.
    // The users of a connection probe it with the commands that they need.
    enableReadyCheck: false,
    ...(url.startsWith("rediss:") && { tls: { ...tls } }),
  });
  redis.on("error", () => undefined);
  return redis;
}

/** Whether Redis is there but does not accept this client, or the client not it: waiting mends nothing. */
export function isRefusal(error: Error): boolean {
  const code = "code" in error ? String(error.code) : "";
  return TLS_REFUSAL.test(code) || ACCESS_REFUSAL.test(error.message);
}

/** Whether the error says that this Redis is a replica, so that the master, which takes writes, is elsewhere. */
export const isReplica = (error: Error): boolean => REPLICA_REFUSAL.test(error.message);

/**
 * Replaces connections that lead to a replica, as after a failover: their name or address may now lead to the new master.
 * Reading and publishing work on a replica too, but nobody on the new master hears what is published there.
 * @param probe a connection on which commands can be sent; `others` go to the same Redis.
 * @returns a function that stops it.
 */
export function followMaster(probe: Redis, others: Redis[], key: string): () => void {
  const timer = setInterval(() => {
    probe.set(key, "", "PX", FOLLOW_INTERVAL_MS).catch((error: Error) => {
      if (!isReplica(error)) return;
      for (const redis of [probe, ...others]) if (redis.status === "ready") redis.disconnect(true);
    });
  }, FOLLOW_INTERVAL_MS);
  return () => clearInterval(timer);
}
