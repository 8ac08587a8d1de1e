import type { Guard } from "../access/guard.ts";
import { eventNotFound } from "../http/parameters.ts";
import { invalidValue, problem } from "../http/problem.ts";
import type { Route, Serve } from "../http/route.ts";
import { never } from "../runtime/assert.ts";
import type { ChangeHub } from "./change-hub.ts";
import { watchEvent } from "./contract.ts";
import { parsePosition } from "./position.ts";
import { streamClientOf } from "./stream-clients.ts";

const RETRY_AFTER = { "retry-after": "5" };
/** How long a stream that has ended may take to leave. A client that reads nothing is then disconnected. */
const LINGER_SECONDS = 10;

/** Changes that are sent again in a millisecond, one unit of a rate limit; 106 bytes each. */
const REWOUND_ROWS_PER_UNIT = 1000;
/** The charge if missed changes have to be read. All clients that come back at the same time share one read. */
const READ_BACK_ROWS = 10_000;

const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  // Otherwise nginx buffers the response.
  "x-accel-buffering": "no",
};

export interface LiveOptions {
  serve: Serve;
  hub: ChangeHub;
  /** Rejects if the database has to be asked and is unavailable. */
  knowsEvent(eventId: number): boolean | Promise<boolean>;
  guard: Pick<Guard, "identityOf" | "denialCheckOf" | "charge">;
}

/** Serves seat changes as they are committed. */
export function liveRoutes({ serve, hub, knowsEvent, guard }: LiveOptions): Route[] {
  const watch = serve(watchEvent, async ({ request, params: { eventId }, query, server }, caller) => {
    // A client that reconnects by itself sends the header, which is newer than the position in its URL.
    const header = request.headers.get("last-event-id");
    const text = header || query.lastEventId;
    const position = text ? parsePosition(text) : undefined;
    const invalid = () =>
      invalidValue(
        header ? "header" : "query",
        header ? "Last-Event-ID" : "lastEventId",
        `${JSON.stringify(text?.slice(0, 80))} is not an id of this stream: send one that you received from it, or none to start now`,
      );
    if (text && !position) return invalid();
    const open = async () => {
      if (!hub.hasListeners(eventId) && !(await knowsEvent(eventId))) return undefined;
      const identity = guard.identityOf(request, caller);
      return hub.open({
        ...{ eventId, position },
        client: streamClientOf(identity, caller, guard.denialCheckOf(request, caller)),
        onOver: () => server?.timeout(request, LINGER_SECONDS),
      });
    };
    const opened = await open().catch(() => ({ kind: "unavailable" }) as const);
    if (!opened) return eventNotFound(eventId);
    switch (opened.kind) {
      case "open":
        guard.charge(request, (opened.missedRows ?? READ_BACK_ROWS) / REWOUND_ROWS_PER_UNIT);
        // Under Bun, writes do not reset IDLE_TIMEOUT_SECONDS, so heartbeats would not keep it open.
        server?.timeout(request, 0);
        return new Response(opened.body, { headers: HEADERS });
      case "unavailable":
        return problem("unavailable", "The database cannot be asked now.", RETRY_AFTER);
      case "full":
        return problem("unavailable", "Too many clients are listening now.", RETRY_AFTER);
      case "too-many":
        return problem(
          "too-many-streams",
          "One API key or network may not have more streams at once (CHANGE_STREAM_CLIENT_PERCENT): close one first.",
          RETRY_AFTER,
        );
      case "closing":
        return problem("unavailable", "This server is shutting down.", RETRY_AFTER);
      case "unknown-position":
        return invalid();
      default:
        return never(opened, "state of a stream");
    }
  });
  return [watch];
}
