import { actOriginOf } from "../access/act-origin.ts";
import type { Caller } from "../http/caller.ts";

import { claimIn, keyReused } from "../http/idempotency-key.ts";
import { eventNotFound, REPLAYED } from "../http/parameters.ts";
import { invalid, problem } from "../http/problem.ts";
import { pathOf } from "../http/request-path.ts";
import type { Route } from "../http/route.ts";
import { type ActKind, recordAct } from "../postgres/admin-log.ts";
import type { KeyClaim } from "../postgres/claims.ts";
import { type EventChange, insertEvent, underCatalogueLock, updateEvent } from "../postgres/event-writes.ts";
import { type KeptAnswer, once, type Transaction } from "../postgres/kept-answers.ts";
import { changeEvent, closeEvent, createEvent, openEvent } from "./admin-contract.ts";
import type { RouteDependencies } from "./dependencies.ts";
import { contradictionIn } from "./description.ts";
import { eventView } from "./views.ts";

/** Carries the refusal of a change. Throwing it rolls the transaction back. */
class Refused extends Error {
  constructor(readonly answer: Response) {
    super("refused");
  }
}

/**
 * Routes with which administrators create and change events. A response is sent when its change is in the database and
 * in this process's catalogue.
 */
export function adminRoutes({ ask, keeper, maps, runAsAdmin, guard, serve }: RouteDependencies): Route[] {
  /**
   * Runs the work in one transaction under the catalogue's lock. With a key it runs only once, and the transaction also
   * stores its answer.
   */
  const inTransaction = (
    key: KeyClaim | null,
    work: (tx: Transaction) => Promise<KeptAnswer>,
  ): Promise<Response> =>
    ask(async () => {
      const done = await runAsAdmin((session) =>
        underCatalogueLock(session, (tx) => once(tx, key, () => work(tx))),
      ).catch((error: unknown) => {
        if (error instanceof Refused) return { result: error.answer };
        throw error;
      });
      if (!done) {
        const detail = "Other changes of the catalogue are under way: try again when they are done.";
        return problem("unavailable", detail, { "retry-after": "5" });
      }
      if (done.result instanceof Response) return done.result;
      if (done.result === "key_mismatch") return keyReused();
      // If this reload fails, the probe reloads the catalogue when it sees the new revision.
      await keeper.refresh().catch(() => undefined);
      return sent(done.result);
    });

  const create = serve(createEvent, ({ request, body }, caller) => {
    const origin = actOriginOf(request, caller);
    if (origin instanceof Response) return origin;
    const key = claimIn(request, () => guard.identityOf(request, caller), createEvent.path, body);
    if (key instanceof Response) return key;
    return inTransaction(key, async (tx) => {
      const event = await insertEvent(tx, body);
      const seatCount = event.sections.reduce((sum, section) => sum + section.seatCount, 0);
      await recordAct(tx, origin, "event.created", { eventId: event.id, name: event.name, seatCount });
      const free = event.sections.map(({ seatCount }) => ({
        ...{ unknown: 0, available: seatCount, held: 0, reserved: 0 },
      }));
      return { status: 201, body: JSON.stringify(eventView(event, free)) };
    });
  });

  const change = async (
    { request, params: { eventId } }: { request: Request; params: { eventId: number } },
    caller: Caller,
    kind: Extract<ActKind, `event.${string}`>,
    wanted: EventChange,
  ) => {
    const key =
      request.method === "POST"
        ? claimIn(request, () => guard.identityOf(request, caller), pathOf(request), wanted)
        : null;
    if (key instanceof Response) return key;
    const origin = actOriginOf(request, caller);
    if (origin instanceof Response) return origin;
    // Another process may have created the event a moment ago.
    await keeper.find(eventId).catch(() => undefined);
    return inTransaction(key, async (tx) => {
      const changed = await updateEvent(tx, eventId, { change: wanted, refuse: contradictionIn });
      if (!changed) throw new Refused(eventNotFound(eventId));
      if ("refusal" in changed) throw new Refused(invalid("body", [changed.refusal]));
      if (Object.keys(wanted).length > 0) await recordAct(tx, origin, kind, { eventId, change: wanted });
      const sections = keeper.catalogue.event(eventId)?.sections ?? [];
      const event = { ...changed.event, sections };
      return { status: 200, body: JSON.stringify(eventView(event, maps.mapOf(event).availability)) };
    });
  };

  return [
    create,
    serve(changeEvent, (asked, caller) => change(asked, caller, "event.changed", asked.body)),
    serve(openEvent, (asked, caller) => change(asked, caller, "event.opened", { status: "open" })),
    serve(closeEvent, (asked, caller) => {
      const { stopExtensions = false, stopConfirmations = false } = asked.body ?? {};
      return change(asked, caller, "event.closed", {
        status: "closed",
        stopsExtensions: stopExtensions,
        stopsConfirmations: stopConfirmations,
      });
    }),
  ];
}

function sent({ status, body, isReplay }: KeptAnswer & { isReplay: boolean }): Response {
  const headers = {
    "content-type": "application/json",
    ...(status === 201 && { location: `/api/v1/events/${JSON.parse(body).eventId}` }),
    ...(isReplay && REPLAYED),
  };
  return new Response(body, { status, headers });
}
