import type { DocumentDecoration } from "elysia";
import { jsonResponse, problemResponse } from "../http/openapi.ts";
import { ACT_KINDS } from "../postgres/admin-log.ts";
import { guardResponses, keyNeeded, PAGE_LIMIT } from "./openapi.ts";

const kind: object = { type: "string", enum: ACT_KINDS };

const actSchema: object = {
  type: "object",
  required: ["actId", "kind", "actor", "reason", "detail", "occurredAt"],
  properties: {
    actId: {
      type: "integer",
      description: "The ledger rows of the changes that the act made carry this id.",
    },
    kind,
    actor: { type: "string", description: "`key:<id>`, or `command:<user>` of a command line." },
    reason: { type: ["string", "null"] },
    detail: { type: "object", description: "What was done; the members depend on the kind." },
    occurredAt: { type: "string", format: "date-time" },
  },
};

export const logDetail: DocumentDecoration = {
  operationId: "listAdminActs",
  tags: ["Administration"],
  summary: "List what administrators did",
  description:
    "The log is append-only, and the ledger's hash chain seals it: the `verify` command finds a row that was changed, deleted or added.",
  security: keyNeeded,
  parameters: [
    {
      name: "after",
      in: "query",
      description: "Only acts after this one.",
      schema: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    },
    {
      name: "limit",
      in: "query",
      description: "The most acts in one response.",
      schema: { type: "integer", minimum: 1, maximum: PAGE_LIMIT, default: 100 },
    },
    { name: "kind", in: "query", description: "Only acts of this kind.", schema: kind },
  ],
  responses: {
    ...guardResponses,
    200: jsonResponse(
      "Acts in the order of their ids; `next` is the `after` of the next page, or null.",
      {
        type: "object",
        required: ["acts", "next"],
        properties: {
          acts: { type: "array", items: actSchema },
          next: { type: ["integer", "null"] },
        },
      },
      {
        acts: [
          {
            actId: 4711,
            kind: "event.closed",
            actor: "key:019a9d0e-8a53-7000-a1b2-c3d4e5f60718",
            reason: "the hall is flooded",
            detail: { eventId: 1 },
            occurredAt: "2026-11-28T20:00:00.000Z",
          },
        ],
        next: null,
      },
    ),
    400: problemResponse("A parameter is not valid; the detail names it.", ["invalid-request"]),
    503: problemResponse("The database cannot be asked now.", ["unavailable"]),
  },
};
