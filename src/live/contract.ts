import { z } from "zod";
import { route } from "../http/contract.ts";
import { eventIdParameter, id } from "../http/parameters.ts";
import { POSITION_FORM } from "./position.ts";

/** The live stream of seat changes. */

const position = z.string().regex(POSITION_FORM);
/** One server-sent event, as tools for OpenAPI 3.1 read it: its fields as an object, `data` as parsed. */
const streamEvent = <Shape extends z.ZodRawShape>(name: string, event: string, data: Shape) =>
  z
    .object({
      id: position.optional(),
      event: z.literal(event),
      data: z.object(data).meta({ id: `${name}Data` }),
    })
    .meta({ id: name });

const MAPPING = {
  ready: "StreamReady",
  seat: "StreamSeat",
  reset: "StreamReset",
  dropped: "StreamDropped",
  closing: "StreamClosing",
};

const anyEvent = z
  .union([
    streamEvent("StreamReady", "ready", { eventId: id }),
    streamEvent("StreamSeat", "seat", {
      seatId: id,
      version: z.int().min(1),
      status: z.enum(["HELD", "RESERVED", "RELEASED", "EXTENDED", "EXPIRED", "CANCELLED"]),
      at: z.iso.datetime().describe("The database's time of the change."),
    }),
    streamEvent("StreamReset", "reset", { reason: z.enum(["too-old", "restored"]) }),
    streamEvent("StreamDropped", "dropped", { reason: z.literal("slow-consumer") }),
    streamEvent("StreamClosing", "closing", { reason: z.enum(["shutdown", "key-revoked", "caller-denied"]) }),
  ])
  .meta({
    id: "StreamEvent",
    description: "One event of the stream, its fields as an object and `data` parsed.",
    discriminator: {
      propertyName: "event",
      mapping: Object.fromEntries(
        Object.entries(MAPPING).map(([event, name]) => [event, `#/components/schemas/${name}`]),
      ),
    },
  });

const example = {
  ...{ id: "1-734-1002", event: "seat" },
  data: { seatId: 2, version: 1, status: "HELD", at: "2025-06-01T18:00:00.000Z" },
};

/** As it is sent. */
const sent = `    retry: 2718

    id: 1-731-1001
    event: ready
    data: {"eventId":1}

    id: 1-734-1002
    event: seat
    data: {"seatId":2,"version":1,"status":"HELD","at":"2025-06-01T18:00:00.000Z"}`;

export const watchEvent = route({
  method: "GET",
  path: "/api/v1/events/:eventId/changes",
  operationId: "eventChanges",
  tag: "Seats",
  role: "reader",
  summary: "Stream the seat changes of an event",
  description: [
    "Server-sent events, as `EventSource` reads them: each change of a seat once it is committed, the changes of one seat in the order of its versions.",
    "- `ready`: the stream starts here. Fetch the seats after it, and apply each `seat` with a greater version: nothing is missed.",
    "- `seat`: `seatId`, `version`, `status` (`HELD`, `RESERVED`, `RELEASED`, `EXTENDED`, `EXPIRED` or `CANCELLED`) and `at`, the database's time.",
    "- `reset`: the changes in between are not kept (`reason` `too-old`) or may have been undone (`restored`). Fetch the seats again; the stream goes on.",
    "- `dropped`: the client read too slowly (`reason` `slow-consumer`); the connection is closed.",
    "- `closing`: the server is ending (`reason` `shutdown`), the API key that opened the stream was revoked (`key-revoked`), or an administrator has denied the caller (`caller-denied`); the connection is closed.",
    "",
    "A client that comes back with the last id it received misses nothing and gets nothing twice. After 15 seconds without an event there is a comment, which may carry a newer id. As sent:",
    "",
    sent,
  ].join("\n"),
  params: { eventId: eventIdParameter },
  query: z.strictObject({
    lastEventId: z
      .string()
      .meta({ pattern: POSITION_FORM.source })
      .optional()
      .describe(
        "The same as Last-Event-ID, for clients that cannot set a header; the header takes precedence.",
      ),
  }),
  headers: [
    {
      name: "Last-Event-ID",
      description:
        "The last id that the client received; the changes after it come first. `EventSource` sends it by itself.",
      schema: position,
      example: "1-734-1002",
    },
  ],
  responses: {
    200: {
      description: "The stream; it ends only when the client or the server closes it.",
      content: { "text/event-stream": { schema: anyEvent, example } },
    },
  },
  problems: ["event-not-found", "too-many-streams"],
});
