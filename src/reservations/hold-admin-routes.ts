import { Elysia } from "elysia";
import { z } from "zod";
import { actOriginOf, reasonText } from "../access/act-origin.ts";
import { callerText } from "../access/caller-ids.ts";
import type { Caller, Guard } from "../access/guard.ts";
import { PAGE_LIMIT } from "../access/openapi.ts";
import { eventNotFound, readQuery, wholeNumber } from "../catalogue/asking.ts";
import type { CatalogueKeeper } from "../catalogue/keeper.ts";
import { fromDatabase } from "../http/from-database.ts";
import { readJson } from "../http/json-body.ts";
import { observed, observedWithQuery } from "../http/observed.ts";
import { nameOfOne, plainText } from "../http/plain-text.ts";
import { problem } from "../http/problem.ts";
import type { RunAsAdmin } from "../postgres/admin-session.ts";
import { type HoldFilter, type HoldView, listCallers, listHolds } from "../postgres/holds.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { callersDetail, holdsDetail, releaseHoldsDetail } from "./hold-admin-openapi.ts";
import { BUYER_ID_LIMIT_CHARACTERS, NAME_LIMIT_CHARACTERS } from "./hold-body.ts";
import type { HoldRelease } from "./hold-release.ts";

const PATH = "/api/v1/admin/holds";

const byText = {
  caller: callerText.optional(),
  buyerId: nameOfOne(BUYER_ID_LIMIT_CHARACTERS).optional(),
  section: plainText(NAME_LIMIT_CHARACTERS).optional(),
};
const eventInQuery = wholeNumber(1, Number.MAX_SAFE_INTEGER).optional();
const pageSize = wholeNumber(1, PAGE_LIMIT).default(100);

const listQuery = z.strictObject({
  eventId: eventInQuery,
  ...byText,
  after: z.uuid("must be the id of a reservation").optional(),
  limit: pageSize,
});
const callersQuery = z.strictObject({ eventId: eventInQuery, ...byText, limit: pageSize });

const releaseBody = z
  .strictObject({
    eventId: z.number().int().positive().max(Number.MAX_SAFE_INTEGER).optional(),
    ...byText,
    dryRun: z.boolean().default(false),
    reason: reasonText.optional(),
  })
  .superRefine(({ eventId, caller, buyerId, dryRun, reason }, context) => {
    // A release of all holds must be asked for event by event.
    if (eventId === undefined && caller === undefined && buyerId === undefined)
      context.addIssue({ code: "custom", path: ["eventId"], message: "is required, or caller, or buyerId" });
    if (!dryRun && reason === undefined)
      context.addIssue({ code: "custom", path: ["reason"], message: "is required unless dryRun is true" });
  });

type Asked = { eventId?: number | undefined } & { [Field in keyof typeof byText]?: string | undefined };

const wire = ({ createdAtMs, expiresAtMs, ...hold }: HoldView) => ({
  ...hold,
  createdAt: new Date(createdAtMs).toISOString(),
  expiresAt: new Date(expiresAtMs).toISOString(),
});

const tooManyAtWork = () =>
  problem("unavailable", "Other administrators are at work: try again when they are done.", {
    "retry-after": "5",
  });

interface WithQuery {
  request: Request;
  query: Record<string, string>;
}

export interface HoldAdminOptions {
  runAsAdmin: RunAsAdmin;
  release: HoldRelease;
  keeper: CatalogueKeeper;
  guard: Guard;
  bodyLimitBytes: number;
  metrics: Metrics;
  log: Logger;
}

/** Administrators see who holds what, and release holds. */
export function holdAdminRoutes({
  runAsAdmin,
  release,
  keeper,
  guard,
  bodyLimitBytes,
  metrics,
  log,
}: HoldAdminOptions) {
  const ask = fromDatabase({ log, what: "what is asked about holds" });

  /** The filter with ids instead of names, or the problem with a name. */
  async function filterOf({ eventId, caller, buyerId, section }: Asked): Promise<HoldFilter | Response> {
    const event = eventId === undefined ? undefined : await keeper.find(eventId);
    if (eventId !== undefined && !event) return eventNotFound(eventId);
    if (section === undefined) return { eventId, caller, buyerId };
    if (!event)
      return problem("invalid-request", "section: needs eventId, the event that it is a section of.");
    const found = event.sections.find(({ name }) => name === section);
    if (!found) return problem("invalid-request", "section: must be the name of a section of this event.");
    const { firstSeatId, seatCount } = found;
    return { eventId, caller, buyerId, seats: { first: firstSeatId, end: firstSeatId + seatCount } };
  }

  const list = ({ query }: WithQuery) => {
    const read = readQuery(query, listQuery);
    if ("problem" in read) return read.problem;
    const { after, limit, ...asked } = read.value;
    return ask(async () => {
      const filter = await filterOf(asked);
      if (filter instanceof Response) return filter;
      const found = await runAsAdmin((session) => listHolds(session, filter, { after, limit }));
      if (!found) return tooManyAtWork();
      const holds = found.result.map(wire);
      return { holds, next: holds.length === limit ? (holds.at(-1)?.reservationId ?? null) : null };
    });
  };

  const callers = ({ query }: WithQuery) => {
    const read = readQuery(query, callersQuery);
    if ("problem" in read) return read.problem;
    const { limit, ...asked } = read.value;
    return ask(async () => {
      const filter = await filterOf(asked);
      if (filter instanceof Response) return filter;
      const found = await runAsAdmin((session) => listCallers(session, filter, limit));
      return found ? { callers: found.result } : tooManyAtWork();
    });
  };

  const end = async ({ request }: { request: Request }, caller: Caller) => {
    const body = await readJson(request, releaseBody, bodyLimitBytes);
    if (body.problem) return body.problem;
    const { dryRun, reason, ...asked } = body.value;
    const origin = actOriginOf(request, caller, reason);
    if (origin instanceof Response) return origin;
    return ask(async () => {
      const filter = await filterOf(asked);
      if (filter instanceof Response) return filter;
      if (dryRun) {
        const preview = await release.preview(filter, origin, asked);
        return preview ? { dryRun, ...preview, sample: preview.sample.map(wire) } : tooManyAtWork();
      }
      const released = await release.release(filter, origin, asked);
      return released ? { dryRun, ...released } : tooManyAtWork();
    });
  };

  return new Elysia({ name: "administration of holds" })
    .get(...observedWithQuery(metrics, PATH, guard.guarded("admin", list)), { detail: holdsDetail })
    .get(...observedWithQuery(metrics, `${PATH}/callers`, guard.guarded("admin", callers)), {
      detail: callersDetail,
    })
    .post(...observed(metrics, `${PATH}/release`, guard.guarded("admin", end)), {
      parse: "none",
      detail: releaseHoldsDetail,
    });
}
