import { Elysia } from "elysia";
import type { Guard } from "../access/guard.ts";
import { unknownField } from "../http/invalid-field.ts";
import { observedWithQuery } from "../http/observed.ts";
import { problem } from "../http/problem.ts";
import { never } from "../runtime/assert.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { ChangeHub } from "./change-hub.ts";
import { changesDetail } from "./openapi.ts";
import { parsePosition } from "./position.ts";
import { streamClientOf } from "./stream-clients.ts";

const RETRY_AFTER = { "retry-after": "5" };
/** What a stream that has ended gets to leave in; a client that takes nothing is then disconnected. */
const LINGER_SECONDS = 10;

/** How many changes are sent again in a millisecond, which is one unit of a rate limit; 106 bytes each. */
const REWOUND_ROWS_PER_UNIT = 1000;
/** The charge if missed changes have to be read; all clients that come back at the same time share one read. */
const READ_BACK_ROWS = 10_000;

const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  // nginx gathers an answer otherwise.
  "x-accel-buffering": "no",
};

export interface LiveOptions {
  hub: ChangeHub;
  /** Rejects when the database would have to be asked and cannot. */
  knowsEvent(eventId: number): boolean | Promise<boolean>;
  guard: Pick<Guard, "guarded" | "identityOf" | "denialCheckOf" | "charge">;
  metrics: Metrics;
}

/** Seat changes as they are committed. */
export function liveRoutes({ hub, knowsEvent, guard, metrics }: LiveOptions) {
  const away = () => problem("unavailable", "The database cannot be asked now.", RETRY_AFTER);
  return new Elysia({ name: "live" }).get(
    ...observedWithQuery(
      metrics,
      "/api/v1/events/:eventId/changes",
      guard.guarded("reader", async ({ request, params, query, server }, caller) => {
        const eventId = Number(/^[1-9]\d{0,15}$/.test(params.eventId ?? "") ? params.eventId : Number.NaN);
        if (!Number.isSafeInteger(eventId)) {
          return problem("invalid-request", "eventId: must be a whole number from 1 to 2^53 - 1.");
        }
        const unknown = Object.keys(query).find((name) => name !== "lastEventId");
        if (unknown !== undefined) return problem("invalid-request", unknownField(unknown));
        // A client that comes back by itself sends the header, which is newer than the address it began with.
        const header = request.headers.get("last-event-id");
        const name = header ? "Last-Event-ID" : "lastEventId";
        const { lastEventId } = query;
        const text = header || lastEventId;
        const position = text ? parsePosition(text) : undefined;
        const invalid = () =>
          problem(
            "invalid-request",
            `${name}: ${JSON.stringify(text?.slice(0, 80))} is no id of this stream: send one that it gave you, or none to begin now.`,
          );
        if (text && !position) return invalid();
        try {
          if (!hub.hasListeners(eventId) && !(await knowsEvent(eventId))) {
            return problem("event-not-found", `There is no event ${eventId}.`);
          }
          const opened = await hub.open({
            ...{ eventId, position },
            client: streamClientOf(
              guard.identityOf(request, caller),
              caller,
              guard.denialCheckOf(request, caller),
            ),
            onOver: () => server?.timeout(request, LINGER_SECONDS),
          });
          switch (opened.kind) {
            case "open":
              guard.charge(request, (opened.missedRows ?? READ_BACK_ROWS) / REWOUND_ROWS_PER_UNIT);
              // Writes do not count against IDLE_TIMEOUT_SECONDS under Bun: heartbeats would not keep it open.
              server?.timeout(request, 0);
              return new Response(opened.body, { headers: HEADERS });
            case "full":
              return problem("unavailable", "Too many are listening now.", RETRY_AFTER);
            case "too-many":
              return problem(
                "too-many-streams",
                "One API key or network may not have more streams at once (CHANGE_STREAM_CLIENT_PERCENT): close one first.",
                RETRY_AFTER,
              );
            case "closing":
              return problem("unavailable", "This server is about to end.", RETRY_AFTER);
            case "unknown-position":
              return invalid();
            default:
              return never(opened, "state of a stream");
          }
        } catch {
          return away();
        }
      }),
    ),
    { detail: changesDetail },
  );
}
