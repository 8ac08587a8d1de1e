import { join } from "node:path";
import { type OnSale, openTheatre, type Theatre, UNLIMITED } from "../engine/reservations.ts";
import { type Network, startProxy } from "../fixtures/proxy.ts";
import { findRedis, startRedis } from "../fixtures/redis.ts";
import { openFolder } from "../fixtures/temp-dir.ts";

/** Seats of this event have ids that no other number in a message has, so that a wire can be told to stop at one. */
const FIRST_MARKED_SEAT = 700_000_001;
const MARKED_ROWS = 20;
const MARKED_SEATS_PER_ROW = 20;

/** A database with engines to come, and stops on the way to it and to Redis. */
export interface WiredHouse {
  theatre: Theatre;
  postgres: Network;
  /** Undefined where there is no Redis. */
  redis: Network | undefined;
  redisUrl: string | undefined;
  /** Of the engines whose messages are to be stopped. */
  env: Record<string, string>;
  /** The events of engines that run with `env`. */
  eventsFile: string;
  marked: OnSale;
  /** Marked seats that no one has been given. */
  seats(count: number): number[];
  /** Seats for the load beside them. */
  load: OnSale;
}

export async function openWiredHouse(stack: AsyncDisposableStack): Promise<WiredHouse> {
  const dataDir = await openFolder(stack, "wired");
  const server = typeof findRedis() === "string" ? await startRedis() : undefined;
  if (server) stack.defer(server.stop);
  const redis = server && (await startProxy(server.url));
  if (redis) stack.defer(redis.stop);
  const theatre = await openTheatre(stack);
  const postgres = await startProxy(theatre.databaseUrl);
  stack.defer(postgres.stop);
  const load = await theatre.addEvent({ rows: 100, seatsPerRow: 100 });
  await theatre.facts.query("select setval('seats_id_seq', $1, false)", [FIRST_MARKED_SEAT]);
  const marked = await theatre.addEvent({ rows: MARKED_ROWS, seatsPerRow: MARKED_SEATS_PER_ROW });
  let next = 0;
  return {
    ...{ theatre, postgres, redis, redisUrl: server?.url, marked, load },
    eventsFile: join(dataDir, "booking-events.jsonl"),
    env: {
      ...{ DATABASE_URL: postgres.url, DATA_DIR: dataDir, RESERVATION_WORKERS: "1", ...UNLIMITED },
      // A lock that is held on its way must not be given up before the test goes on.
      ...(redis && { REDIS_URL: redis.url, REDIS_TIMEOUT_MS: "1000" }),
    },
    seats: (count) => {
      const given = marked.seats.slice(next, next + count);
      next += count;
      if (given.length < count) throw new Error("the house has no more marked seats");
      return given;
    },
  };
}
