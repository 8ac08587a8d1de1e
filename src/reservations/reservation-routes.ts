import { Elysia } from "elysia";
import { z } from "zod";
import { type Caller, type Guard, isSeller } from "../access/guard.ts";
import type { CatalogueKeeper } from "../catalogue/keeper.ts";
import { fromDatabase } from "../http/from-database.ts";
import { ANONYMOUS_KEY_LEAST_CHARACTERS, claimIn } from "../http/idempotency-key.ts";
import { readJson } from "../http/json-body.ts";
import { observed } from "../http/observed.ts";
import type { ReservationFacts } from "../postgres/change.ts";
import type { KeyClaim } from "../postgres/guards.ts";
import type { ReservationView } from "../postgres/reservations.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { SEARCH_STEPS_PER_UNIT, SearchBudget } from "../venue/search-budget.ts";
import type { SeatId } from "../venue/seat-id.ts";
import type { Changes, OwnerAction } from "./changes.ts";
import { type HoldBody, holdSchema } from "./hold-body.ts";
import type { HoldResult, Holds } from "./holds.ts";
import { changeProblem, type Hints, holdProblem, reservationNotFound } from "./refusals.ts";
import {
  cancelDetail,
  confirmDetail,
  extendDetail,
  getDetail,
  holdDetail,
  releaseDetail,
} from "./reservation-openapi.ts";
import type { SeatFinder } from "./seat-finder.ts";
import type { ReservationTokens } from "./token.ts";
import { type WireStatus, wireReservation } from "./wire.ts";

const PATH = "/api/v1/reservations";
const ONE = `${PATH}/:reservationId`;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** What a reservation is after each action. */
const STATUS_AFTER = {
  confirm: "CONFIRMED",
  extend: "HELD",
  release: "RELEASED",
  cancel: "CANCELLED",
} as const satisfies Record<OwnerAction, WireStatus>;

export interface ReservationRoutesOptions {
  holds: Holds;
  changes: Changes;
  finder: SeatFinder;
  tokens: ReservationTokens;
  keeper: CatalogueKeeper;
  guard: Guard;
  bodyLimitBytes: number;
  /** Reads; each rejects when the database cannot be asked. */
  findReservation(reservationId: string): Promise<ReservationView | undefined>;
  findReplay(key: KeyClaim): Promise<ReservationFacts | "key_mismatch" | undefined>;
  findEarliestHoldEnd(seats: SeatId[] | { eventId: number }): Promise<number | undefined>;
  metrics: Metrics;
  log: Logger;
}

interface OneContext {
  request: Request;
  params: { reservationId?: string };
}

/** `/api/v1/reservations`: seats held for a while, then confirmed or let go. */
export function reservationsRoutes(options: ReservationRoutesOptions) {
  const { holds, changes, tokens, keeper, guard, metrics, log } = options;
  const { catalogue } = keeper;

  const orBusy = fromDatabase({ log, what: "what is asked about reservations" });

  const hold = ({ request }: { request: Request }, caller: Caller) =>
    orBusy(async () => {
      const { value: body, problem: refusal } = await readJson(request, holdSchema, options.bodyLimitBytes);
      if (refusal) return refusal;
      const least = caller.kind === "anonymous" ? ANONYMOUS_KEY_LEAST_CHARACTERS : 1;
      const key = claimIn(request, () => guard.identityOf(request, caller), PATH, body, least);
      if (key instanceof Response) return key;
      const budget = new SearchBudget();
      const result = await holds.hold(body, key, guard.callerIdOf(request, caller), budget);
      guard.charge(request, budget.spentSteps / SEARCH_STEPS_PER_UNIT);
      metrics.holds.inc({ outcome: result.kind });
      if (result.kind === "held" || result.kind === "replay")
        return created(result.facts, result.kind === "replay");
      return holdProblem(result, await hintsFor(result, body, caller));
    });

  async function created(facts: ReservationFacts, isReplay: boolean): Promise<Response> {
    if (!catalogue.event(facts.eventId)) await known(facts);
    const body = {
      ...wireReservation(facts, "HELD", catalogue),
      token: tokens.of(facts.reservationId),
    };
    const headers: Record<string, string> = { location: `${PATH}/${facts.reservationId}` };
    if (isReplay) headers["idempotent-replayed"] = "true";
    return Response.json(body, { status: 201, headers });
  }

  async function hintsFor(result: HoldResult, body: HoldBody, caller: Caller): Promise<Hints> {
    const seatIds = result.kind === "taken" ? result.seats.map(({ seatId }) => seatId) : [];
    const wanted = result.kind === "none" && body.eventId !== undefined ? { eventId: body.eventId } : seatIds;
    const endsAtMs =
      isSeller(caller) && (result.kind === "none" || result.kind === "taken")
        ? await options.findEarliestHoldEnd(wanted)
        : undefined;
    return {
      alternatives: options.finder.alternativesTo(seatIds),
      ...(endsAtMs !== undefined && { earliestHoldEndsAt: new Date(endsAtMs).toISOString() }),
    };
  }

  /** So that the answer can tell its places, also of an event that another process made a moment ago. */
  async function known(facts: ReservationFacts): Promise<void> {
    if (!catalogue.event(facts.eventId)) await keeper.find(facts.eventId);
  }

  /** The reservation's id where the caller may ask for it: with its token, or as a seller. */
  function ownedBy({ request, params }: OneContext, caller: Caller): string | undefined {
    const reservationId = params.reservationId?.toLowerCase() ?? "";
    if (!UUID.test(reservationId)) return undefined;
    if (isSeller(caller)) return reservationId;
    const token = request.headers.get("x-reservation-token");
    return token !== null && tokens.isOf(reservationId, token) ? reservationId : undefined;
  }

  const change = (action: OwnerAction) => (context: OneContext, caller: Caller) =>
    orBusy(async () => {
      const reservationId = ownedBy(context, caller);
      if (!reservationId) return reservationNotFound();
      if (context.request.body !== null) {
        const { problem: refusal } = await readJson(
          context.request,
          z.strictObject({}),
          options.bodyLimitBytes,
        );
        if (refusal) return refusal;
      }
      const key = claimIn(
        context.request,
        () => `reservation:${reservationId}`,
        `${PATH}/${reservationId}/${action}`,
        null,
      );
      if (key instanceof Response) return key;
      const outcome = await changes.change({ reservationId, action, key });
      metrics.changes.inc({ action, outcome: outcome.kind });
      if (outcome.kind === "done") return changed(outcome.facts, action);
      const replay = outcome.kind === "replayed" && key ? await options.findReplay(key) : undefined;
      if (replay === undefined || replay === "key_mismatch") return changeProblem(action, outcome);
      return changed(replay, action, { "idempotent-replayed": "true" });
    });

  async function changed(
    facts: ReservationFacts,
    action: OwnerAction,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    await known(facts);
    return Response.json(wireReservation(facts, STATUS_AFTER[action], catalogue), { headers });
  }

  const show = (context: OneContext, caller: Caller) =>
    orBusy(async () => {
      const reservationId = ownedBy(context, caller);
      const found = reservationId && (await options.findReservation(reservationId));
      if (!found) return reservationNotFound();
      await known(found);
      const status = found.status.toUpperCase() as WireStatus;
      return Response.json({
        ...wireReservation(found, status, catalogue),
        createdAt: new Date(found.createdAtMs).toISOString(),
      });
    });

  // `parse: "none"`: the bodies are read here, so that what is wrong with one is told as a problem.
  return new Elysia({ name: "reservations-v1" })
    .post(...observed(metrics, PATH, guard.guarded("seller", hold)), { detail: holdDetail, parse: "none" })
    .get(...observed(metrics, ONE, guard.guarded("reader", show)), { detail: getDetail })
    .delete(...observed(metrics, ONE, guard.guarded("seller", change("release"))), {
      detail: releaseDetail,
      parse: "none",
    })
    .post(...observed(metrics, `${ONE}/confirm`, guard.guarded("seller", change("confirm"))), {
      detail: confirmDetail,
      parse: "none",
    })
    .post(...observed(metrics, `${ONE}/extend`, guard.guarded("seller", change("extend"))), {
      detail: extendDetail,
      parse: "none",
    })
    .post(...observed(metrics, `${ONE}/cancel`, guard.guarded("seller", change("cancel"))), {
      detail: cancelDetail,
      parse: "none",
    });
}
