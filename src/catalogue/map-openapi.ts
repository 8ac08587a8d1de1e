import type { DocumentDecoration } from "elysia";
import { guardResponses, keyWelcome } from "../access/openapi.ts";
import { problemResponse } from "../http/openapi.ts";
import { eventIdParameter } from "./event-openapi.ts";
import { MAP_AGE_MS, MAP_AGE_SEATS } from "./map-cache.ts";
import { PAST_TOO_COSTLY } from "./past-map.ts";

const sectionProperties: Record<string, object> = {
  sectionId: { type: "integer" },
  name: { type: "string" },
  firstSeatId: { type: "integer" },
  seatCount: { type: "integer" },
  offset: { type: "integer", description: "Of its first byte in the data." },
};

const mapProperties: Record<string, object> = {
  eventId: { type: "integer" },
  generatedAt: {
    type: "string",
    format: "date-time",
    description: "When it was first seen to be so; the moment asked for, with `at`.",
  },
  sections: {
    type: "array",
    items: { type: "object", required: Object.keys(sectionProperties), properties: sectionProperties },
  },
  encoding: { type: "string", const: "2bit-le" },
  data: { type: "string", contentEncoding: "base64" },
};

const header = (description: string) => ({ description, schema: { type: "string" } }) as const;
const headers = {
  ETag: header("Strong, another in each form."),
  "Cache-Control": header(
    "`no-cache`; with `at` a year and `immutable`, or `no-store` within the last minute.",
  ),
  Vary: header("Accept, Accept-Encoding"),
};

export const mapDetail: DocumentDecoration = {
  operationId: "getEventMap",
  tags: ["Events"],
  security: keyWelcome,
  summary: "Show all seats of an event at a glance",
  description: [
    "2 bits a seat, of each byte the lowest first: 0 not known now, 1 available, 2 held, 3 reserved. The sections follow one another, each beginning with a byte of its own.",
    `It comes from memory and may be ${MAP_AGE_MS} ms old for each ${MAP_AGE_SEATS} seats begun; a hold that is over may be seen for up to 2 s. It promises nothing: a reservation decides.`,
    "`Accept: application/octet-stream` gives the data alone, `Accept-Encoding: gzip` either one packed.",
  ].join("\n\n"),
  parameters: [
    eventIdParameter,
    {
      name: "at",
      in: "query",
      description: "The event as it was then, from the ledger; not before it was made.",
      schema: { type: "string", format: "date-time" },
    },
    {
      name: "If-None-Match",
      in: "header",
      description: "The ETag of the map that the client has.",
      schema: { type: "string" },
    },
  ],
  responses: {
    ...guardResponses,
    200: {
      description: "The map.",
      headers,
      content: {
        "application/json": {
          schema: { type: "object", required: Object.keys(mapProperties), properties: mapProperties },
          example: {
            eventId: 1,
            generatedAt: "2026-11-22T16:00:00.000Z",
            sections: [{ sectionId: 1, name: "Hall", firstSeatId: 1, seatCount: 6, offset: 0 }],
            encoding: "2bit-le",
            data: "XQU=",
          },
        },
        "application/octet-stream": {
          schema: { type: "string", format: "binary" },
        },
      },
    },
    304: { description: "It is as the client has it.", headers },
    400: problemResponse("The event id or `at` is not valid, in the future, or before the event was made.", [
      "invalid-request",
    ]),
    404: problemResponse("There is no such event.", ["event-not-found"]),
    422: problemResponse("The event has changed too often for anybody but a seller to look into its past.", {
      "request-too-costly": PAST_TOO_COSTLY,
    }),
    503: problemResponse("The database would have to be asked, and cannot be now.", ["unavailable"]),
  },
};
