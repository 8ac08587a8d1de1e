import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { redisTlsOf } from "../config/credential-relations.ts";
import { type Context, keyPrefixOf } from "../parts/context.ts";
import { findApiKeys } from "../postgres/api-keys.ts";
import type { Database } from "../postgres/connect.ts";
import type { DatabaseGate } from "../postgres/database-gate.ts";
import { readDenials } from "../postgres/denials.ts";
import { faultOf } from "../postgres/faults.ts";
import { SharedCounts } from "../redis/rate-limits.ts";
import { FaultLog } from "../telemetry/log.ts";
import { ApiKeys } from "./api-keys.ts";
import { CallerIds } from "./caller-ids.ts";
import { Denials } from "./denials.ts";
import { Guard } from "./guard.ts";
import { RateLimits } from "./rate-limits.ts";

export interface AccessDependencies {
  /** For API keys and denials alone, so that readers of the catalogue cannot delay the check of a key. */
  database: Database;
  /** Returns the address that the request's connection comes from; undefined if it is closed. */
  connectionOf(request: Request): string | undefined;
  gate: DatabaseGate;
}

export interface Access {
  keys: ApiKeys;
  guard: Guard;
  denials: Denials;
  callerIds: CallerIds;
  /** The database of the keys. */
  database: NodePgDatabase;
}

/** Opens access control: the API keys in memory, the rate limits, and the guard that routes are written with. */
export function openAccess(context: Context, { database, connectionOf, gate }: AccessDependencies): Access {
  const { config, parts, metrics, log, lifecycle } = context;
  const refusals = new FaultLog(log, "the database refused a query about API keys");
  const readKeys = async (ids: string[]) => {
    try {
      const found = await findApiKeys(database, ids);
      refusals.over();
      return found;
    } catch (error) {
      if (faultOf(error) !== "doubtful") refusals.met(error);
      throw error;
    }
  };
  const keys = new ApiKeys(readKeys, undefined, () => gate.answers);
  const limits = {
    address: config.rateLimitAddressRequests,
    key: config.rateLimitKeyRequests,
    reserve: config.rateLimitReserveRequests,
  };
  const isLimited = Object.values(limits).some((limit) => limit > 0);
  const shared = isLimited ? openSharedCounts(context) : undefined;
  const callerIds = new CallerIds(parts.database.callerSalt);
  const denials = new Denials(() => readDenials(database), callerIds);
  lifecycle.onClose("denials", () => denials.stop());
  const guard = new Guard({
    keys,
    limits: new RateLimits({
      windowSeconds: config.rateLimitWindowSeconds,
      limits,
      ...(shared && { shared }),
    }),
    requireApiKey: config.requireApiKey,
    trustedProxyCount: config.trustedProxyCount,
    connectionOf,
    callerIds,
    denials,
    metrics,
  });
  return { keys, guard, denials, callerIds, database };
}

function openSharedCounts({ config, parts, log, lifecycle }: Context): SharedCounts | undefined {
  const [redisUrl] = parts.redisUrls;
  if (redisUrl === undefined) return undefined;
  const shared = new SharedCounts({
    redis: { url: redisUrl, tls: redisTlsOf(config) },
    keyPrefix: keyPrefixOf(parts),
    timeoutMs: config.redisTimeoutMs,
    onDegraded: (degraded, reason) =>
      log.debug({ degraded, reason }, "rate limits changed between counting in Redis and in memory"),
  });
  lifecycle.onClose("rate limits", () => shared.close());
  return shared;
}
