import { z } from "zod";
import { reasonText } from "../access/act-origin.ts";
import { callerText } from "../access/caller-ids.ts";
import { CALLER_EXAMPLE, PAGE_LIMIT } from "../access/contract.ts";
import { route } from "../http/contract.ts";
import { id, wholeNumber } from "../http/parameters.ts";
import { nameOfOne, plainText } from "../http/plain-text.ts";
import { BUYER_ID_LIMIT_CHARACTERS, NAME_LIMIT_CHARACTERS } from "./hold-body.ts";

/** The contracts of the routes with which administrators list holds and release them. */

const count = z.int().min(0);
const time = z.iso.datetime();
const caller = callerText.nullable();

const liveHold = z
  .object({
    reservationId: z.uuid(),
    eventId: id,
    seatIds: z.array(id),
    caller,
    buyerId: z.string().nullable(),
    createdAt: time,
    expiresAt: time,
  })
  .meta({ id: "LiveHold" });
const holdExample = {
  reservationId: "019a9d0e-8a53-7000-a1b2-c3d4e5f60718",
  ...{ eventId: 1, seatIds: [4, 5], caller: CALLER_EXAMPLE, buyerId: null },
  ...{ createdAt: "2026-11-28T20:00:00.000Z", expiresAt: "2026-11-28T20:10:00.000Z" },
};

const byText = {
  caller: callerText.optional().describe("Only holds that this caller made."),
  buyerId: nameOfOne(BUYER_ID_LIMIT_CHARACTERS).optional().describe("Only holds for this buyer."),
  section: plainText(NAME_LIMIT_CHARACTERS)
    .optional()
    .describe("Only holds with a seat in this section of `eventId`."),
};
const filters = {
  eventId: wholeNumber(1, Number.MAX_SAFE_INTEGER).optional().describe("Only holds of this event."),
  ...byText,
};
const limit = wholeNumber(1, PAGE_LIMIT).describe("The most entries in one response.").default(100);

const shared = { tag: "Administration", role: "admin" } as const;

export const listHolds = route({
  ...shared,
  method: "GET",
  path: "/api/v1/admin/holds",
  operationId: "listHolds",
  summary: "List live holds",
  description: "The oldest first.",
  query: z.strictObject({
    ...filters,
    after: z.uuid("must be the id of a reservation").optional().describe("Only holds made after this one."),
    limit,
  }),
  responses: {
    200: {
      description: "A page of holds.",
      body: z
        .object({
          holds: z.array(liveHold),
          next: z.uuid().nullable().describe("The `after` of the next page; null: this is the last one."),
        })
        .meta({ id: "LiveHoldPage" }),
      example: { holds: [holdExample], next: null },
    },
  },
  problems: ["event-not-found"],
});

export const listHoldCallers = route({
  ...shared,
  method: "GET",
  path: "/api/v1/admin/holds/callers",
  operationId: "listHoldCallers",
  summary: "List who holds the most seats",
  description: "Callers with their live holds, those with the most seats first.",
  query: z.strictObject({ ...filters, limit }),
  responses: {
    200: {
      description: "The callers.",
      body: z
        .object({
          callers: z.array(
            z.object({ caller, reservations: count, seats: count }).meta({ id: "HoldCaller" }),
          ),
        })
        .meta({ id: "HoldCallerList" }),
      example: { callers: [{ caller: CALLER_EXAMPLE, reservations: 5000, seats: 100_000 }] },
    },
  },
  problems: ["event-not-found"],
});

export const releaseHolds = route({
  ...shared,
  method: "POST",
  path: "/api/v1/admin/holds/release",
  operationId: "releaseHolds",
  summary: "Release the holds of others",
  description: [
    "With `dryRun` nothing is released: the response counts the selected holds and shows the first of them. Without it each of them is released as a change of its own, with ledger rows and events. The ledger rows name the act in the administration log.",
    "A request stops after some seconds. If `isComplete` is false, send it again to release what is left. A hold is released as a whole, even if only one of its seats is in the section.",
  ].join("\n\n"),
  body: {
    schema: z
      .strictObject({
        eventId: id.optional().describe("Only holds of this event."),
        ...byText,
        dryRun: z.boolean().default(false),
        reason: reasonText
          .optional()
          .describe("The reason, which the administration log keeps; required unless `dryRun` is true."),
      })
      .superRefine(({ eventId, caller, buyerId, dryRun, reason }, context) => {
        // A release of all holds must be asked for one event at a time.
        if (eventId === undefined && caller === undefined && buyerId === undefined)
          context.addIssue({
            code: "custom",
            path: ["eventId"],
            message: "is required, or caller, or buyerId",
          });
        if (!dryRun && reason === undefined)
          context.addIssue({
            code: "custom",
            path: ["reason"],
            message: "is required unless dryRun is true",
          });
      })
      .meta({ id: "HoldReleaseRequest" }),
    examples: { dryRun: { eventId: 1, caller: CALLER_EXAMPLE, dryRun: true } },
  },
  responses: {
    200: {
      description: "The holds that were released, or would be.",
      body: z
        .object({
          dryRun: z.boolean(),
          actId: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
          reservations: count,
          seats: count,
          isComplete: z
            .boolean()
            .optional()
            .describe("False if some holds are left: send the request again. Absent in a dry run."),
          sample: z.array(liveHold).optional().describe("The first holds; only in a dry run."),
        })
        .meta({ id: "HoldRelease" }),
      example: { dryRun: false, actId: 4712, reservations: 5000, seats: 100_000, isComplete: true },
    },
  },
  problems: ["event-not-found"],
});
