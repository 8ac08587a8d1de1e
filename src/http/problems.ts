import { z } from "zod";
import { fieldError } from "./field-error.ts";

const seatId = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
const seatRefusal = z
  .object({ seatId, reason: z.enum(["reserved", "held", "contended"]) })
  .meta({ id: "SeatRefusal" });
const time = z.iso.datetime();
const earliestHoldEndsAt = time
  .optional()
  .describe("When the first of the holds in the way ends; for callers with a seller's key.");
const errors = z.array(fieldError).min(1).describe("Every error that was found, at most 50.");

interface Problem {
  status: number;
  title: string;
  /** When it is sent. */
  when: string;
  /** The client's next step. */
  action: string;
  /** Whether the response has a Retry-After. */
  retries?: true;
  /** Members of this type beside `type`, `title`, `status`, `detail` and `help`. */
  members?: z.ZodRawShape;
  /** A detail as it is sent, and the members that go with it. */
  example: { detail: string } & Record<string, unknown>;
}

const AGAIN = "Send the request again after `Retry-After` seconds";
const RESTART = "Start over with a new hold.";

/** The error types of the API, by slug. Clients may rely on `urn:sentinel:problem:<slug>`, its status and its members. */
export const PROBLEMS = {
  moved: {
    status: 308,
    title: "The address has no slash at its end",
    when: "The address would be right without the slash at its end.",
    action: "Use the address in `Location`.",
    example: { detail: "Addresses here end without a slash: use /api/v1/events." },
  },
  "invalid-request": {
    status: 400,
    title: "The request is not valid",
    when: "A field, parameter or header is missing, unknown or has a value that is not allowed.",
    action: "Correct what `errors` names. The detail repeats the first error.",
    members: { errors },
    example: {
      detail: "limit: must be a whole number from 1 to 1000.",
      errors: [{ in: "query", pointer: "#/limit", detail: "must be a whole number from 1 to 1000." }],
    },
  },
  "invalid-seat-id": {
    status: 400,
    title: "The seat id is not a positive integer",
    when: "The seat id in the path is not a whole number in decimal digits.",
    action: "Use an id from the event's seats.",
    members: { errors },
    example: {
      detail: "seatId must be a whole number from 1 to 9007199254740991, in decimal digits.",
      errors: [
        {
          in: "path",
          pointer: "#/seatId",
          detail: "must be a whole number from 1 to 9007199254740991, in decimal digits.",
        },
      ],
    },
  },
  unauthorized: {
    status: 401,
    title: "A valid API key is needed",
    when: "The operation needs an API key and none was sent, or the key is unknown or revoked.",
    action: "Send a valid key as `Authorization: Bearer <API key>` or `X-API-Key`.",
    example: { detail: "Authorization: send `Bearer <API key>`, or the key as X-API-Key." },
  },
  forbidden: {
    status: 403,
    title: "The role of the API key is not enough",
    when: "The key's role is lower than the one the operation needs.",
    action: "Use a key with the role that the detail names.",
    example: { detail: "Authorization: the role of this API key is reader, and seller is needed here." },
  },
  "caller-denied": {
    status: 403,
    title: "The caller is denied for a time",
    when: "An administrator has denied the API key or the client's network.",
    action: "Wait for `Retry-After` seconds, or ask the operator to end the denial.",
    retries: true,
    example: { detail: "An administrator has denied this caller; the denial ends in 600 s." },
  },
  "cross-site": {
    status: 403,
    title: "Pages of this origin may change nothing here",
    when: "A web page of an origin that the engine does not allow sent a request that changes something.",
    action: "Send the request from your server, or let the operator add the origin to CORS_ORIGINS.",
    example: {
      detail:
        "Origin: a page of https://shop.example may change nothing here; add its origin to CORS_ORIGINS to allow it.",
    },
  },
  "not-on-sale": {
    status: 403,
    title: "The event is not on sale",
    when: "The sale of the event has not started (`not-yet`), has ended (`over`) or is closed (`closed`).",
    action: "With `not-yet`, come back at `onSaleAt`. Otherwise tell the buyer.",
    members: {
      reason: z.enum(["not-yet", "over", "closed"]),
      onSaleAt: time.nullable().describe("When the sale starts; null: no time is set."),
      offSaleAt: time.nullable().describe("When the sale ends; null: no time is set."),
    },
    example: {
      detail: "The event is not on sale yet: its sale starts at 2026-12-01T09:00:00.000Z.",
      reason: "not-yet",
      onSaleAt: "2026-12-01T09:00:00.000Z",
      offSaleAt: null,
    },
  },
  "buyer-needed": {
    status: 403,
    title: "The event sells to named buyers only",
    when: "The event limits the seats of each buyer, and the request names no buyer.",
    action: "Hold the seats with a `buyerId`.",
    example: {
      detail:
        "buyerId: the event limits the seats of each buyer: hold them at /api/v1/reservations for a buyerId.",
    },
  },
  "extensions-stopped": {
    status: 403,
    title: "The event is closed and extends no holds",
    when: "The event was closed with `stopExtensions`.",
    action: "Confirm the hold before it ends, or release it.",
    example: { detail: "The event is closed, and its holds can no longer be extended." },
  },
  "confirmations-stopped": {
    status: 403,
    title: "The event is closed and confirms no holds",
    when: "The event was closed with `stopConfirmations`.",
    action: "Return the buyer's money; the hold ends by itself.",
    example: { detail: "The event is closed, and its holds can no longer be confirmed." },
  },
  "not-found": {
    status: 404,
    title: "There is nothing at this address",
    when: "No operation has this path.",
    action: "Correct the address.",
    example: { detail: "There is no route GET /api/v1/seat." },
  },
  "event-not-found": {
    status: 404,
    title: "There is no such event",
    when: "No event has this id.",
    action: "Use an id from the list of events.",
    example: { detail: "There is no event 7." },
  },
  "seat-not-found": {
    status: 404,
    title: "There is no such seat",
    when: "No seat has this id.",
    action: "Use an id from the event's seats.",
    example: { detail: "There is no seat 1001." },
  },
  "reservation-not-found": {
    status: 404,
    title: "There is no such reservation",
    when: "No reservation has this id, or the caller has neither its token nor a seller's key.",
    action: "Send the id and the token from the response to the hold.",
    example: { detail: "There is no such reservation, or X-Reservation-Token is not its token." },
  },
  "api-key-not-found": {
    status: 404,
    title: "There is no such API key",
    when: "No API key has this id.",
    action: "Use an id from the list of keys.",
    example: { detail: "keyId: there is no such API key." },
  },
  "denial-not-found": {
    status: 404,
    title: "There is no such denial",
    when: "No denial in force has this id.",
    action: "Use an id from the list of denials.",
    example: { detail: "denialId: there is no such denial." },
  },
  "method-not-allowed": {
    status: 405,
    title: "The address does not take this method",
    when: "The path has operations, but none with this method.",
    action: "Use a method from `Allow`.",
    example: { detail: "PUT is not for this address; GET, HEAD may be used." },
  },
  "seats-taken": {
    status: 409,
    title: "Not all of these seats are free",
    when: "At least one of the seats is reserved, held or being decided. Nothing was held.",
    action: "Offer `alternatives`, which are free seats close by, or other seats.",
    retries: true,
    members: {
      seats: z.array(seatRefusal).describe("The seats that were in the way."),
      alternatives: z.array(seatId).describe("Free seats near those that were asked for, the nearest first."),
      earliestHoldEndsAt,
    },
    example: {
      detail: "Not free: 24 (held). Nothing was held.",
      seats: [{ seatId: 24, reason: "held" }],
      alternatives: [26, 23, 27],
      earliestHoldEndsAt: "2026-11-22T20:10:00.000Z",
    },
  },
  "no-seats-left": {
    status: 409,
    title: "No free seats fit the request",
    when: "No seats that are free now satisfy what was asked for.",
    action: "Ask for fewer seats, other sections or price tiers, or try again after `Retry-After` seconds.",
    retries: true,
    members: { earliestHoldEndsAt },
    example: { detail: "No free seats fit the request now." },
  },
  "buyer-limit-reached": {
    status: 409,
    title: "The buyer would have too many seats",
    when: "With these seats the buyer would have more than the event allows.",
    action: "Ask for fewer seats, or release a hold of the same buyer.",
    retries: true,
    example: { detail: "buyerId: the buyer would have more seats than the event allows." },
  },
  "hold-limit-reached": {
    status: 409,
    title: "The caller would hold too many seats",
    when: "With these seats the API key or the client's network would hold more than one caller may.",
    action: "Confirm or release holds first.",
    retries: true,
    example: {
      detail:
        "The caller would have more seats in live holds than one caller may: confirm or release some first.",
    },
  },
  "request-in-progress": {
    status: 409,
    title: "The same is being decided at this moment",
    when: "A request for the same reservation, buyer, caller or Idempotency-Key is being decided.",
    action: `${AGAIN}.`,
    retries: true,
    example: {
      detail:
        "A request for the same reservation, buyer, caller or Idempotency-Key is being decided; send it again.",
    },
  },
  "already-confirmed": {
    status: 409,
    title: "The reservation is already confirmed",
    when: "The reservation was confirmed before.",
    action: "Nothing: the seats are sold to this reservation.",
    example: { detail: "The reservation is confirmed, for good unless it is cancelled." },
  },
  "already-released": {
    status: 409,
    title: "The reservation was released",
    when: "The hold was released before.",
    action: RESTART,
    example: { detail: "The reservation was released; its seats are free or have other buyers." },
  },
  "already-cancelled": {
    status: 409,
    title: "The reservation was cancelled",
    when: "The reservation was cancelled before.",
    action: RESTART,
    example: { detail: "The reservation was cancelled; its seats are free or have other buyers." },
  },
  "not-confirmed": {
    status: 409,
    title: "The reservation is not confirmed",
    when: "A hold, or a hold that has ended, was to be cancelled.",
    action: "Release a hold instead.",
    example: { detail: "Only a confirmed reservation can be cancelled; release a hold instead." },
  },
  "not-cancellable": {
    status: 409,
    title: "The event takes no seats back",
    when: "The event was made without `cancellable`.",
    action: "Tell the buyer; the reservation stays confirmed.",
    example: { detail: "The event takes nothing back." },
  },
  "extension-limit-reached": {
    status: 409,
    title: "The hold cannot last longer",
    when: "The hold already lasts as long as its event allows.",
    action: "Confirm the hold before it ends, or release it.",
    example: { detail: "The hold already lasts as long as its event allows." },
  },
  "denial-limit-reached": {
    status: 409,
    title: "Too many callers are denied",
    when: "As many denials are in force as the engine takes.",
    action: "End some denials, or deny a wider network.",
    example: { detail: "1000 callers are denied already: end some, or deny a wider network." },
  },
  "reservation-expired": {
    status: 410,
    title: "The hold has ended",
    when: "The hold has ended, and cannot be confirmed late because others have its seats (`gone`) or the sale is over.",
    action: RESTART,
    members: {
      gone: z
        .array(seatId)
        .optional()
        .describe("The seats that others have; absent where none was looked for."),
    },
    example: { detail: "The hold is over, and others have seat 24. Nothing was confirmed.", gone: [24] },
  },
  "body-too-large": {
    status: 413,
    title: "The request body is too large",
    when: "The body has more than BODY_LIMIT_BYTES.",
    action: "Send a smaller body, or let the operator raise the limit.",
    example: { detail: "body: must have at most 65536 bytes (BODY_LIMIT_BYTES)." },
  },
  "unsupported-media-type": {
    status: 415,
    title: "The request body is not JSON",
    when: "The Content-Type of the body is not `application/json`.",
    action: "Send JSON with this Content-Type.",
    example: { detail: "Content-Type: must be application/json." },
  },
  "idempotency-key-reused": {
    status: 422,
    title: "The Idempotency-Key was used for another request",
    when: "The same caller has sent this Idempotency-Key with another request.",
    action: "Choose a new key for each new request; a UUID is a good one.",
    example: { detail: "Idempotency-Key: was sent with another request before; choose a new one." },
  },
  "request-too-costly": {
    status: 422,
    title: "The request asks for more work than one request may",
    when: "Finding the seats, or the past, would take more work than one request may cost.",
    action: "Ask for less, as the detail says.",
    example: {
      detail:
        "Too many seats would have to be looked at; name fewer sections or preferences, or let bestAvailable be adjacency preferred.",
    },
  },
  "rate-limited": {
    status: 429,
    title: "Too many requests",
    when: "The API key or the client's network has used up its requests of this window.",
    action: "Wait for `Retry-After` seconds; `RateLimit` tells what is left.",
    retries: true,
    example: {
      detail: "The limit is 1000 requests in 10 s, of which a costly one counts as several; wait 7 s.",
    },
  },
  "too-many-streams": {
    status: 429,
    title: "The client has too many streams",
    when: "The API key or the client's network has as many open streams as it may have.",
    action: "Close a stream first.",
    retries: true,
    example: {
      detail:
        "One API key or network may not have more streams at once (CHANGE_STREAM_CLIENT_PERCENT): close one first.",
    },
  },
  "internal-error": {
    status: 500,
    title: "The engine failed",
    when: "A fault of the engine, which has logged it under the `X-Request-Id` of the response.",
    action: "Report the X-Request-Id to the operator.",
    example: { detail: "The fault is logged under this X-Request-Id." },
  },
  unavailable: {
    status: 503,
    title: "The engine cannot answer now",
    when: "The queue is full (`overloaded`), the database cannot be asked (`unavailable`) or the process is ending (`draining`).",
    action: `${AGAIN}, with the same Idempotency-Key if it had one.`,
    retries: true,
    members: { reason: z.enum(["overloaded", "unavailable", "draining"]).optional() },
    example: { detail: "The database cannot be asked now." },
  },
} as const satisfies Record<string, Problem>;

export type ProblemSlug = keyof typeof PROBLEMS;

export const problemOf = (slug: ProblemSlug): Problem => PROBLEMS[slug];
export const typeOf = (slug: ProblemSlug) => `urn:sentinel:problem:${slug}`;

/** The page that lists every problem. */
export const ERRORS_PATH = "/docs/errors";
/** Where the page tells of this problem; an address on the same server. */
export const helpOf = (slug: ProblemSlug) => `${ERRORS_PATH}#${slug}`;

type Table = typeof PROBLEMS;
/** The members of a problem's own. */
export type MembersOf<Slug extends ProblemSlug> = Table[Slug] extends {
  members: infer Shape extends z.ZodRawShape;
}
  ? z.output<z.ZodObject<Shape>>
  : Record<never, never>;
