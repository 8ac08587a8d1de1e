import { actOriginOf } from "../access/act-origin.ts";
import type { CatalogueKeeper } from "../catalogue/keeper.ts";
import type { Place } from "../http/field-error.ts";
import { fromDatabase } from "../http/from-database.ts";
import { eventNotFound } from "../http/parameters.ts";
import { invalidValue, type ProblemResponse, problem } from "../http/problem.ts";
import type { Route, Serve } from "../http/route.ts";
import type { RunAsAdmin } from "../postgres/admin-session.ts";
import { type HoldFilter, type HoldView, listCallers, listHolds as readHolds } from "../postgres/holds.ts";
import type { Logger } from "../telemetry/log.ts";
import { listHoldCallers, listHolds, releaseHolds } from "./hold-admin-contract.ts";
import type { HoldRelease } from "./hold-release.ts";

interface Asked {
  eventId?: number | undefined;
  caller?: string | undefined;
  buyerId?: string | undefined;
  section?: string | undefined;
}

const wire = ({ createdAtMs, expiresAtMs, ...hold }: HoldView) => ({
  ...hold,
  createdAt: new Date(createdAtMs).toISOString(),
  expiresAt: new Date(expiresAtMs).toISOString(),
});

const tooManyAtWork = () =>
  problem("unavailable", "Other administrators are at work: try again when they are done.", {
    "retry-after": "5",
  });

export interface HoldAdminOptions {
  serve: Serve;
  runAsAdmin: RunAsAdmin;
  release: HoldRelease;
  keeper: CatalogueKeeper;
  log: Logger;
}

/** Routes with which administrators see who holds which seats, and release holds. */
export function holdAdminRoutes({ serve, runAsAdmin, release, keeper, log }: HoldAdminOptions): Route[] {
  const ask = fromDatabase({ log, what: "what is asked about holds" });

  /** Returns the filter with ids instead of names, or the problem with a name. */
  async function filterOf(
    place: Place,
    { eventId, caller, buyerId, section }: Asked,
  ): Promise<HoldFilter | ProblemResponse<"event-not-found" | "invalid-request">> {
    const event = eventId === undefined ? undefined : await keeper.find(eventId);
    if (eventId !== undefined && !event) return eventNotFound(eventId);
    if (section === undefined) return { eventId, caller, buyerId };
    if (!event) return invalidValue(place, "section", "needs eventId, the event that it is a section of");
    const found = event.sections.find(({ name }) => name === section);
    if (!found) return invalidValue(place, "section", "must be the name of a section of this event");
    const { firstSeatId, seatCount } = found;
    return { eventId, caller, buyerId, seats: { first: firstSeatId, end: firstSeatId + seatCount } };
  }

  return [
    serve(listHolds, ({ query: { after, limit, ...asked } }) =>
      ask(async () => {
        const filter = await filterOf("query", asked);
        if (filter instanceof Response) return filter;
        const found = await runAsAdmin((session) => readHolds(session, filter, { after, limit }));
        if (!found) return tooManyAtWork();
        const holds = found.result.map(wire);
        return { holds, next: holds.length === limit ? (holds.at(-1)?.reservationId ?? null) : null };
      }),
    ),
    serve(listHoldCallers, ({ query: { limit, ...asked } }) =>
      ask(async () => {
        const filter = await filterOf("query", asked);
        if (filter instanceof Response) return filter;
        const found = await runAsAdmin((session) => listCallers(session, filter, limit));
        return found ? { callers: found.result } : tooManyAtWork();
      }),
    ),
    serve(releaseHolds, ({ request, body: { dryRun, reason, ...asked } }, caller) => {
      const origin = actOriginOf(request, caller, reason);
      if (origin instanceof Response) return origin;
      return ask(async () => {
        const filter = await filterOf("body", asked);
        if (filter instanceof Response) return filter;
        if (dryRun) {
          const preview = await release.preview(filter, origin, asked);
          return preview ? { dryRun, ...preview, sample: preview.sample.map(wire) } : tooManyAtWork();
        }
        const released = await release.release(filter, origin, asked);
        return released ? { dryRun, ...released } : tooManyAtWork();
      });
    }),
  ];
}
