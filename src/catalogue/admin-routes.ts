import { Elysia } from "elysia";
import type { z } from "zod";
import { actOriginOf } from "../access/act-origin.ts";
import type { Caller } from "../access/guard.ts";
import { claimIn, keyReused } from "../http/idempotency-key.ts";
import { readJson } from "../http/json-body.ts";
import { observed } from "../http/observed.ts";
import { problem } from "../http/problem.ts";
import { pathOf } from "../http/request-path.ts";
import { type ActKind, recordAct } from "../postgres/admin-log.ts";
import { type EventChange, insertEvent, underCatalogueLock, updateEvent } from "../postgres/event-writes.ts";
import type { KeyClaim } from "../postgres/guards.ts";
import { type KeptAnswer, once, type Transaction } from "../postgres/kept-answers.ts";
import { changeDetail, closeDetail, createDetail, openDetail } from "./admin-openapi.ts";
import { eventNotFound, readEventId } from "./asking.ts";
import { closing, contradictionIn, eventChange, eventDescription } from "./description.ts";
import type { CatalogueNeighbours } from "./neighbours.ts";
import { eventView } from "./views.ts";

const EVENTS = "/api/v1/admin/events";

/** What of a change cannot be done; leaving the transaction undoes it. */
class Refused extends Error {
  constructor(readonly answer: Response) {
    super("refused");
  }
}

/** Administrators make events and change them; what is answered is in the database and in this process's catalogue. */
export function adminRoutes({
  ask,
  keeper,
  maps,
  runAsAdmin,
  guard,
  bodyLimitBytes,
  metrics,
}: CatalogueNeighbours) {
  /** One transaction under the catalogue's lock; with a key it is done once, and its answer kept in it. */
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
      // What cannot be taken in now is taken in when the probe sees the new revision.
      await keeper.refresh().catch(() => undefined);
      return sent(done.result);
    });

  const create = async ({ request }: { request: Request }, caller: Caller) => {
    const body = await readJson(request, eventDescription, bodyLimitBytes);
    if (body.problem) return body.problem;
    const origin = actOriginOf(request, caller);
    if (origin instanceof Response) return origin;
    const key = claimIn(request, () => guard.identityOf(request, caller), EVENTS, body.value);
    if (key instanceof Response) return key;
    return inTransaction(key, async (tx) => {
      const event = await insertEvent(tx, body.value);
      const seatCount = event.sections.reduce((sum, section) => sum + section.seatCount, 0);
      await recordAct(tx, origin, "event.created", { eventId: event.id, name: event.name, seatCount });
      const free = event.sections.map(({ seatCount }) => ({
        ...{ unknown: 0, available: seatCount, held: 0, reserved: 0 },
      }));
      return { status: 201, body: JSON.stringify(eventView(event, free)) };
    });
  };

  const change = async (
    { request, params }: { request: Request; params: { eventId?: string } },
    caller: Caller,
    kind: Extract<ActKind, `event.${string}`>,
    wanted: EventChange,
  ) => {
    const eventId = readEventId(params.eventId);
    if ("problem" in eventId) return eventId.problem;
    const key =
      request.method === "POST"
        ? claimIn(request, () => guard.identityOf(request, caller), pathOf(request), wanted)
        : null;
    if (key instanceof Response) return key;
    const origin = actOriginOf(request, caller);
    if (origin instanceof Response) return origin;
    // It may have been made by another process a moment ago.
    await keeper.find(eventId.value).catch(() => undefined);
    return inTransaction(key, async (tx) => {
      const changed = await updateEvent(tx, eventId.value, { change: wanted, refuse: contradictionIn });
      if (!changed) throw new Refused(eventNotFound(eventId.value));
      if ("refusal" in changed) {
        const { path, message } = changed.refusal;
        throw new Refused(problem("invalid-request", `${path.join(".")}: ${message}.`));
      }
      if (Object.keys(wanted).length > 0)
        await recordAct(tx, origin, kind, { eventId: eventId.value, change: wanted });
      const sections = keeper.catalogue.event(eventId.value)?.sections ?? [];
      const event = { ...changed.event, sections };
      return { status: 200, body: JSON.stringify(eventView(event, maps.mapOf(event).availability)) };
    });
  };

  return new Elysia({ name: "admin events" })
    .post(...observed(metrics, EVENTS, guard.guarded("admin", create)), {
      parse: "none",
      detail: createDetail,
    })
    .patch(
      ...observed(
        metrics,
        `${EVENTS}/:eventId`,
        guard.guarded("admin", async (context, caller) => {
          const body = await readJson(context.request, eventChange, bodyLimitBytes);
          return body.problem ?? change(context, caller, "event.changed", body.value);
        }),
      ),
      { parse: "none", detail: changeDetail },
    )
    .post(
      ...observed(
        metrics,
        `${EVENTS}/:eventId/open`,
        guard.guarded("admin", (context, caller) =>
          change(context, caller, "event.opened", { status: "open" }),
        ),
      ),
      { parse: "none", detail: openDetail },
    )
    .post(
      ...observed(
        metrics,
        `${EVENTS}/:eventId/close`,
        guard.guarded("admin", async (context, caller) => {
          const { request } = context;
          const body =
            request.body === null ? { value: {} } : await readJson(request, closing, bodyLimitBytes);
          if (body.problem) return body.problem;
          const { stopExtensions = false, stopConfirmations = false }: z.output<typeof closing> = body.value;
          return change(context, caller, "event.closed", {
            status: "closed",
            stopsExtensions: stopExtensions,
            stopsConfirmations: stopConfirmations,
          });
        }),
      ),
      { parse: "none", detail: closeDetail },
    );
}

function sent({ status, body, isReplay }: KeptAnswer & { isReplay: boolean }): Response {
  const headers = {
    "content-type": "application/json",
    ...(status === 201 && { location: `/api/v1/events/${JSON.parse(body).eventId}` }),
    ...(isReplay && { "idempotent-replayed": "true" }),
  };
  return new Response(body, { status, headers });
}
