import { guardResponses, keyWelcome } from "../access/openapi.ts";
import { problemResponse } from "../http/openapi.ts";

const example = `retry: 2718

id: 1-731-1001
event: ready
data: {"eventId":1}

id: 1-734-1002
event: seat
data: {"seatId":2,"version":1,"status":"HELD","at":"2025-06-01T18:00:00.000Z"}

:
id: 1-740-1009

`;

/** The stream in the API's document, which has no words of its own for server-sent events. */
export const changesDetail = {
  operationId: "eventChanges",
  tags: ["Seats"],
  summary: "Hear the seat changes of an event",
  description: [
    "Server-sent events, as `EventSource` reads them: each change of a seat when it is committed, per seat in the order of its versions.",
    "- `ready`: the stream begins here. Fetch the seats after it, and apply each `seat` with a greater version: nothing is missed.",
    "- `seat`: `seatId`, `version`, `status` (`HELD`, `RESERVED`, `RELEASED`, `EXTENDED`, `EXPIRED` or `CANCELLED`) and `at`, the database's time.",
    "- `reset`: what lies between is not kept (`reason` `too-old`) or may have been undone (`restored`). Fetch the seats again; the stream goes on.",
    "- `dropped`: you took it too slowly (`reason` `slow-consumer`); the connection is closed.",
    "- `closing`: the server ends (`reason` `shutdown`), the API key that opened the stream was revoked (`key-revoked`), or an administrator has denied the caller (`caller-denied`); the connection is closed.",
    "",
    "Whoever comes back with the last id it heard misses nothing and hears nothing twice. Every 15 seconds without a word there is a comment, which may carry a newer id.",
  ].join("\n"),
  parameters: [
    {
      name: "eventId",
      in: "path" as const,
      required: true,
      example: 1,
      description: "In decimal digits, without sign or leading zero.",
      schema: { type: "integer" as const, minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    },
    {
      name: "Last-Event-ID",
      in: "header" as const,
      description:
        "The last id you heard; the changes after it come first. `EventSource` sends it by itself.",
      schema: { type: "string" as const, pattern: "^\\d+-\\d+-\\d+$" },
      example: "1-734-1002",
    },
    {
      name: "lastEventId",
      in: "query" as const,
      description: "The same, for clients that cannot set a header; the header goes first.",
      schema: { type: "string" as const, pattern: "^\\d+-\\d+-\\d+$" },
    },
  ],
  security: keyWelcome,
  responses: {
    ...guardResponses,
    200: {
      description: "The stream; it ends only when one of the two closes it.",
      content: { "text/event-stream": { schema: { type: "string" as const }, example } },
    },
    400: problemResponse("The event id, or the last event id, is none; the detail names it.", [
      "invalid-request",
    ]),
    404: problemResponse("There is no such event.", ["event-not-found"]),
    429: {
      ...guardResponses[429],
      ...problemResponse("Too many requests in this window, or too many streams of this client.", [
        "rate-limited",
        "too-many-streams",
      ]),
    },
    503: problemResponse("Too many are listening, the server ends, or the database cannot be asked now.", [
      "unavailable",
    ]),
  },
};
