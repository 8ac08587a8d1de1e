import { Redis } from "ioredis";
import type { TlsFiles } from "../config/secret-files.ts";

/**
 * A short, constant pause between attempts to reconnect, so that Redis is used again within a second of its
 * return.
 */
const RECONNECT_DELAY_MS = 200;
const CONNECT_TIMEOUT_MS = 1000;
/**
 * Replaces a connection that owes a reply and has been silent for this long. Its peer may be gone without
 * notice, and a hung Redis would otherwise accumulate 5 unanswered commands a second.
 */
const SILENCE_TIMEOUT_MS = 2000;

/** Error codes of Node and Bun for a certificate or handshake that one side rejects. */
const TLS_REFUSAL = /^(ERR_SSL|ERR_TLS|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|INVALID_CA)/;
const ACCESS_REFUSAL = /^(WRONGPASS|NOAUTH|NOPERM)/;
/** Script errors of older Redis versions have the code in the middle of the message. */
const REPLICA_REFUSAL = /(^|[ -])(READONLY|MASTERDOWN) /;
/** How often a connection that only reads or publishes is checked for still leading to a master. */
const FOLLOW_INTERVAL_MS = 1000;

/** The address of a Redis and, for `rediss://`, its TLS files. */
export interface RedisAddress {
  url: string;
  tls?: TlsFiles | undefined;
}

/**
 * Opens a connection that fails immediately instead of queueing: with ioredis's defaults a lock was still
 * pending 20 s after Redis died. It reconnects forever; callers see its errors on their commands.
 */
export function connectRedis({ url, tls }: RedisAddress, timeoutMs: number): Redis {
  const redis = new Redis(url, {
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_TIMEOUT_MS,
    retryStrategy: () => RECONNECT_DELAY_MS,
    // The ready check would send INFO, which a careful operator denies, and wait up to 10 s while Redis loads
    // its data. The users of a connection probe it with the commands that they need.
    enableReadyCheck: false,
    ...(url.startsWith("rediss:") && { tls: { ...tls } }),
  });
  redis.on("error", () => undefined);
  return redis;
}

/**
 * Returns whether Redis and this client reject one another's certificate or credentials, which waiting does
 * not fix.
 */
export function isRefusal(error: Error): boolean {
  const code = "code" in error ? String(error.code) : "";
  return TLS_REFUSAL.test(code) || ACCESS_REFUSAL.test(error.message);
}

/** Returns whether the error says that this Redis is a replica, so that the writable master is elsewhere. */
export const isReplica = (error: Error): boolean => REPLICA_REFUSAL.test(error.message);

/**
 * Replaces connections that lead to a replica, as after a failover: their name or address may now lead to the
 * new master. Reading and publishing also work on a replica, but nobody on the new master receives what is
 * published there.
 * @param probe a connection that can send commands
 * @param others connections to the same Redis
 * @returns a function that stops it
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
