import { hostname } from "node:os";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { redisTlsOf } from "../config/credential-relations.ts";
import type { LedgerTail } from "../live/ledger-tail.ts";
import type { Opening } from "../parts/context.ts";
import { readCompany } from "../postgres/presence.ts";
import { SeatFeed } from "../redis/seat-feed.ts";
import { MemoryKeeper } from "../reservations/memory-keeper.ts";
import { MemoryTrust } from "../reservations/memory-trust.ts";
import { FaultLog, messageOf } from "../telemetry/log.ts";
import type { PublisherLoop } from "../threads/publisher-loop.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";

const UNHEARD =
  "other engines use this database and are not heard: Postgres refuses sold seats, which takes longer than memory; give all the same REDIS_URL";
const ALL_HEARD = "no engine uses this database unheard: memory refuses sold seats again";

interface FeedNeighbours {
  memory: SeatMemory;
  reads: pg.Pool;
  probes: pg.Pool;
  presence: number;
  publisher: PublisherLoop;
  tail: Pick<LedgerTail, "poke">;
}

/**
 * Fills memory and keeps it up to date with the changes of other processes: by the feed, or every few seconds without it.
 * Also decides whether memory may be trusted.
 */
export function openMemory(
  opening: Opening,
  { memory, reads, probes, presence, publisher, tail }: FeedNeighbours,
) {
  const { config, parts, metrics, log, lifecycle } = opening;
  let feed: SeatFeed | undefined;
  const keeper = new MemoryKeeper(drizzle(reads), memory, () => feed?.isLive ?? false);
  lifecycle.onClose("memory keeper", () => keeper.close());
  keeper.catchUp().catch((error: Error) => log.warn({ error: messageOf(error) }, "memory starts cold"));
  const trust = new MemoryTrust({
    presence,
    readCompany: () => readCompany(drizzle(probes)),
    isFeedLive: () => feed?.isLive ?? false,
    hears: (other) => feed?.hears(other) ?? false,
    catchUp: () => keeper.catchUp(),
    onUnheard: (count) => log.info({ engines: count }, count > 0 ? UNHEARD : ALL_HEARD),
  });
  lifecycle.onClose("memory trust", () => trust.close());
  const [redisUrl] = parts.redisUrls;
  if (redisUrl === undefined) return { keeper, feed, trust };
  const refusals = new FaultLog(
    log,
    "Engines do not hear of each other through Redis: correct REDIS_URL, REDIS_TLS_... or its users",
  );
  const opened = new SeatFeed({
    redis: { url: redisUrl, tls: redisTlsOf(config) },
    channel: `${keyPrefixOf(parts)}:feed`,
    processId: `${hostname()}-${process.pid}-${presence}`,
    timeoutMs: config.redisTimeoutMs,
    onChanges: (changes) => {
      for (const change of changes) memory.learn(...change);
      publisher.poke();
      tail.poke();
    },
    catchUp: async () => {
      await keeper.catchUp();
      metrics.feedCatchUps.inc();
    },
    onLive: (live) => {
      if (live) refusals.over();
      trust.feedChanged();
      log.debug({ live }, "the change feed between processes changed");
    },
    onRefused: (error) => refusals.met(error),
  });
  feed = opened;
  lifecycle.onClose("change feed", () => opened.close());
  return { keeper, feed: opened, trust };
}

export const keyPrefixOf = (parts: Opening["parts"]) => `sentinel:${parts.database.id}`;
