import type { Guard } from "../access/guard.ts";
import type { CatalogueKeeper } from "../catalogue/keeper.ts";
import { type Caller, isSeller } from "../http/caller.ts";
import { reply } from "../http/contract.ts";
import { fromDatabase } from "../http/from-database.ts";
import { ANONYMOUS_KEY_LEAST_CHARACTERS, claimIn } from "../http/idempotency-key.ts";
import { REPLAYED } from "../http/parameters.ts";
import type { Reply } from "../http/reply.ts";
import type { Route, Serve } from "../http/route.ts";
import type { ReservationFacts } from "../postgres/change.ts";
import type { KeyClaim } from "../postgres/claims.ts";
import type { ReservationView } from "../postgres/reservations.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Catalogue, CatalogueEvent } from "../venue/catalogue.ts";
import { ACTIONS } from "../venue/outcome.ts";
import { SEARCH_STEPS_PER_UNIT, SearchBudget } from "../venue/search-budget.ts";
import type { SeatId } from "../venue/seat-id.ts";
import type { Changes, OwnerAction } from "./changes.ts";
import {
  CHANGES,
  getReservation,
  holdSeats,
  RESERVATIONS_PATH,
  type WireReservation,
  type WireStatus,
} from "./contract.ts";
import { type HoldBody, wishesOf } from "./hold-body.ts";
import type { HoldResult, Holds } from "./holds.ts";
import type { ChangeOutcome } from "./outcome.ts";
import { changeProblem, type Hints, holdProblem, reservationNotFound } from "./refusals.ts";
import type { SeatFinder } from "./seat-finder.ts";
import type { ReservationTokens } from "./token.ts";
import { wireReservation } from "./wire.ts";

export interface ReservationRoutesOptions {
  serve: Serve;
  holds: Holds;
  changes: Changes;
  finder: SeatFinder;
  tokens: ReservationTokens;
  keeper: CatalogueKeeper;
  guard: Guard;
  /** Reads; each of them rejects if the database cannot be asked. */
  findReservation(reservationId: string): Promise<ReservationView | undefined>;
  findReplay(key: KeyClaim): Promise<ReservationFacts | "key_mismatch" | undefined>;
  findEarliestHoldEnd(seats: SeatId[] | { eventId: number }): Promise<number | undefined>;
  metrics: Metrics;
  log: Logger;
}

/** The routes of `/api/v1/reservations`, which hold seats for a while and then confirm or release them. */
export function reservationsRoutes(options: ReservationRoutesOptions): Route[] {
  const { serve, holds, changes, tokens, keeper, guard, metrics, log } = options;
  const fromReads = fromDatabase({ log, what: "what is asked about reservations" });

  const countHold = counterOf<HoldResult>((outcome) => metrics.holds.seriesOf({ outcome }));
  const hold = serve(holdSeats, ({ request, body }, caller) => {
    const least = caller.kind === "anonymous" ? ANONYMOUS_KEY_LEAST_CHARACTERS : 1;
    const key = claimIn(request, () => guard.identityOf(request, caller), RESERVATIONS_PATH, body, least);
    if (key instanceof Response) return key;
    return fromReads(async () => {
      const budget = new SearchBudget();
      const result = await holds.hold(body, key, guard.callerIdOf(request, caller), budget);
      guard.charge(request, budget.spentSteps / SEARCH_STEPS_PER_UNIT);
      countHold(result);
      if (result.kind === "held" || result.kind === "replay")
        return created(result.facts, result.kind === "replay");
      return holdProblem(result, await hintsFor(options, result, body, caller));
    });
  });

  async function created(facts: ReservationFacts, isReplay: boolean): Promise<Reply> {
    const { expiresAt = "", ...held } = await wireOf(facts, "HELD");
    const token = tokens.of(facts.reservationId);
    const location = `${RESERVATIONS_PATH}/${facts.reservationId}`;
    return reply(holdSeats, 201, { ...held, expiresAt, token }, { location, ...(isReplay && REPLAYED) });
  }

  /**
   * Describes a reservation. Reads the event first if another process created it a moment ago, so that the response can
   * name the section and row of each seat.
   */
  async function wireOf(facts: ReservationFacts, status: WireStatus): Promise<WireReservation> {
    if (!keeper.catalogue.event(facts.eventId)) await keeper.find(facts.eventId);
    return wireReservation(facts, status, keeper.catalogue);
  }

  /** Whether the caller may see and change the reservation: with its token, or as a seller. */
  function owns(request: Request, caller: Caller, reservationId: string): boolean {
    if (isSeller(caller)) return true;
    const token = request.headers.get("x-reservation-token");
    return token !== null && tokens.isOf(reservationId, token);
  }

  const change = (action: OwnerAction) => {
    const count = counterOf<ChangeOutcome>((outcome) => metrics.changes.seriesOf({ action, outcome }));
    return serve(
      CHANGES[action],
      ({ request, params: { reservationId } }, caller): Promise<Reply | Response> | Response => {
        if (!owns(request, caller, reservationId)) return reservationNotFound();
        const path = `${RESERVATIONS_PATH}/${reservationId}/${action}`;
        const key = claimIn(request, () => `reservation:${reservationId}`, path, null);
        if (key instanceof Response) return key;
        return fromReads(async () => {
          const outcome = await changes.change({ reservationId, action, key });
          count(outcome);
          if (outcome.kind === "done") return changed(outcome.facts, action);
          const replay = outcome.kind === "replayed" && key ? await options.findReplay(key) : undefined;
          if (replay === undefined || replay === "key_mismatch") return changeProblem(action, outcome);
          return changed(replay, action, REPLAYED);
        });
      },
    );
  };

  const changed = async (
    facts: ReservationFacts,
    action: OwnerAction,
    headers: Record<string, string> = {},
  ) => reply(CHANGES[action], 200, await wireOf(facts, ACTIONS[action].reservation), headers);

  const show = serve(getReservation, ({ request, params: { reservationId } }, caller) =>
    fromReads(async () => {
      const found = owns(request, caller, reservationId)
        ? await options.findReservation(reservationId)
        : undefined;
      if (!found) return reservationNotFound();
      return {
        ...(await wireOf(found, found.status.toUpperCase() as WireStatus)),
        createdAt: new Date(found.createdAtMs).toISOString(),
      };
    }),
  );

  return [hold, show, change("confirm"), change("extend"), change("release"), change("cancel")];
}

/** Counts results by their kind. Each series is looked up once. */
function counterOf<Result extends { kind: string }>(
  seriesOf: (kind: Result["kind"]) => { count(): void },
): (result: Result) => void {
  const known = new Map<Result["kind"], { count(): void }>();
  return ({ kind }) => {
    const series = known.get(kind) ?? seriesOf(kind);
    known.set(kind, series);
    series.count();
  };
}

async function hintsFor(
  { findEarliestHoldEnd, finder, keeper }: ReservationRoutesOptions,
  result: HoldResult,
  body: HoldBody,
  caller: Caller,
): Promise<Hints> {
  const seatIds = result.kind === "taken" ? result.seats.map(({ seatId }) => seatId) : [];
  const wanted = result.kind === "none" && body.eventId !== undefined ? { eventId: body.eventId } : seatIds;
  const endsAtMs =
    isSeller(caller) && (result.kind === "none" || result.kind === "taken")
      ? await findEarliestHoldEnd(wanted)
      : undefined;
  return {
    event: eventIn(body, keeper.catalogue),
    alternatives: finder.alternativesTo(seatIds),
    ...(endsAtMs !== undefined && { earliestHoldEndsAt: new Date(endsAtMs).toISOString() }),
  };
}

/** Returns the event of a hold: the one that it names, or the one of its first seat. */
function eventIn(body: HoldBody, catalogue: Catalogue): CatalogueEvent | undefined {
  const [seatId] = wishesOf(body).flatMap(({ seatIds = [] }) => seatIds);
  const eventId = body.eventId ?? (seatId && catalogue.sectionOf(seatId)?.eventId);
  return eventId === undefined ? undefined : catalogue.event(eventId);
}
