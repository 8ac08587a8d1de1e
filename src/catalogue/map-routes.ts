import { type Caller, isSeller } from "../http/caller.ts";

import { acceptsGzip, matches } from "../http/conditional.ts";
import { eventNotFound } from "../http/parameters.ts";
import { invalidValue, problem } from "../http/problem.ts";
import type { Route } from "../http/route.ts";
import { readDatabaseTimeMs } from "../postgres/seat-history.ts";
import type { CatalogueEvent } from "../venue/catalogue.ts";
import { getEventMap } from "./contract.ts";
import type { RouteDependencies } from "./dependencies.ts";
import { countPastRows, PAST_LIMIT_ROWS, PAST_TOO_COSTLY, pastMap } from "./past-map.ts";
import type { SeatMap } from "./seat-map.ts";

const BINARY = "application/octet-stream";

/** Clients may keep the map but must revalidate it each time; `If-None-Match` is cheap. */
const OF_NOW = "no-cache";
const FOR_GOOD = `max-age=${365 * 86_400}, immutable`;
/** For a moment that a running transaction may still add rows to, because it dates its rows to its own start. */
const OF_JUST_NOW = "no-store";
/** Longer than any transaction that changes a seat can last. */
const SETTLED_AFTER_MS = 60_000;

/** Ledger rows that Postgres reads in a millisecond, which is one unit of a rate limit. */
const PAST_ROWS_PER_UNIT = 600;
/** Maximum number of requests for the past at once, including the running one. */
const PAST_REQUESTS_LIMIT = 10;

/** Routes that show a whole event with 2 bits per seat: its present state from memory, a past state from the ledger. */
export function mapRoutes(dependencies: RouteDependencies): Route[] {
  const { serve, database, ask, askDatabase, keeper, maps, guard } = dependencies;
  const inTurn = oneAtATime(PAST_REQUESTS_LIMIT);
  const showPast = async (event: CatalogueEvent, atMs: number, request: Request, caller: Caller) => {
    const nowMs = await readDatabaseTimeMs(database);
    if (atMs > nowMs) {
      const now = new Date(nowMs).toISOString();
      return invalidValue("query", "at", `must not be in the future, it is ${now}`);
    }
    if (atMs < event.createdAtMs) {
      const madeAt = new Date(event.createdAtMs).toISOString();
      return invalidValue("query", "at", `must not be before ${madeAt}, when the event was created`);
    }
    const rows = await countPastRows(database, event, PAST_LIMIT_ROWS + 1);
    if (rows > PAST_LIMIT_ROWS && !isSeller(caller)) return problem("request-too-costly", PAST_TOO_COSTLY);
    guard.charge(request, rows / PAST_ROWS_PER_UNIT);
    const map = await inTurn(() => pastMap(database, event, atMs));
    if (!map)
      return problem("unavailable", "Too many requests for the past wait already.", { "retry-after": "1" });
    return answerOf(map, request, nowMs - atMs > SETTLED_AFTER_MS ? FOR_GOOD : OF_JUST_NOW);
  };

  return [
    serve(getEventMap, ({ params: { eventId }, query: { at }, request }, caller) => {
      const known = keeper.catalogue.event(eventId);
      if (known && at === undefined) return answerOf(maps.mapOf(known), request, OF_NOW);
      return (at === undefined ? ask : askDatabase)(async () => {
        const event = await keeper.find(eventId);
        if (!event) return eventNotFound(eventId);
        return at === undefined
          ? answerOf(maps.mapOf(event), request, OF_NOW)
          : showPast(event, at, request, caller);
      });
    }),
  ];
}

/** Runs work one piece after the other. The result is undefined if `limit` pieces are already waiting or running. */
function oneAtATime(limit: number) {
  let count = 0;
  let last: Promise<unknown> = Promise.resolve();
  return async <Result>(work: () => Promise<Result>): Promise<Result | undefined> => {
    if (count >= limit) return undefined;
    count++;
    const turn = last.catch(() => undefined).then(work);
    last = turn;
    return turn.finally(() => {
      count--;
    });
  };
}

/** Answers with the map in the form that the request accepts, or with 304 if the client already has it. */
function answerOf(map: SeatMap, { headers }: Request, cacheControl: string): Response {
  const form = headers.get("accept")?.includes(BINARY) ? "binary" : "json";
  const isGzipped = acceptsGzip(headers);
  const etag = map.etag(form, isGzipped);
  const shared = { etag, "cache-control": cacheControl, vary: "Accept, Accept-Encoding" };
  if (matches(headers, etag)) return new Response(null, { status: 304, headers: shared });
  return new Response(map.body(form, isGzipped), {
    headers: {
      ...shared,
      "content-type": form === "binary" ? BINARY : "application/json",
      ...(isGzipped && { "content-encoding": "gzip" }),
    },
  });
}
