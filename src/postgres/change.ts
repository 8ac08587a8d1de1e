import type pg from "pg";
import { assert } from "../runtime/assert.ts";
import type { ChangeVerdict, ReservationAction } from "../venue/outcome.ts";
import { changeStatement, changesWithClaims, plainChanges } from "./change-statement.ts";
import { claimOfCaller, claimOfKey, type KeyClaim, tryClaims } from "./claims.ts";
import { executePrepared, type Prepared, prepared } from "./prepared.ts";
import { arrayOf } from "./query.ts";

/** The actions on an existing reservation. */
export type ChangeAction = ReservationAction;

/** The fields of a reservation that its responses contain. */
export interface ReservationFacts {
  reservationId: string;
  eventId: number;
  seatIds: number[];
  /** One per seat. */
  pricesMinor: number[];
  /** Null if it was never held. */
  expiresAtMs: number | null;
}

export interface ChangeRow {
  verdict: Exclude<ChangeVerdict, "claimed" | "undecided">;
  /**
   * Before the change; `expired` also for a hold that is over and not swept yet. Null if the reservation is
   * missing.
   */
  status: "held" | "confirmed" | "released" | "expired" | "cancelled" | "void" | null;
  /** After the change, or unchanged; null for an expiry and for a missing reservation. */
  facts: ReservationFacts | null;
  /** The seats that changed, with their new versions. */
  seats: [seatId: number, version: number][];
  /** Whether `reserved` is for good in its event. */
  final: boolean;
  gone: number[] | null;
}

/** A change of a reservation. A batch has at most one of each reservation. */
export interface ReservationChange {
  reservationId: string;
  action: ChangeAction;
  /**
   * A new id for each attempt, generated before it is sent. If the result is lost, the attempt is looked up
   * by it.
   */
  changeId: string;
  /** The administrator's act (`admin_log.id`) that orders the change, if any. */
  actId?: number | undefined;
  key?: KeyClaim | null | undefined;
}

/** A kind of caller: the first three letters of `reservations.caller`. */
export type CallerKind = "key" | "net";

const changeReservations = prepared("change_reservations", changeStatement(plainChanges));
const changeReservationsWithClaims = prepared(
  "change_reservations_with_claims",
  changeStatement(changesWithClaims),
);

/**
 * @param limitedCallers the kinds of callers whose held seats are limited
 * @throws the error of the connection or the server; `faultOf` tells its effect
 */
export function commitChanges(
  client: pg.Client | pg.PoolClient,
  changes: ReservationChange[],
  limitedCallers: CallerKind[] = [],
): Promise<ChangeRow[]> {
  return execute(client, changeReservations, changes, { limitedCallers: arrayOf(limitedCallers) });
}

/**
 * Same as `commitChanges`, for changes with a key or under a buyer's limit. The first statement of the
 * transaction takes their claims.
 * @returns undefined for a change that did not get one of its claims
 */
export async function commitChangesWithClaims(
  client: pg.PoolClient,
  changes: ReservationChange[],
  limitedCallers: CallerKind[] = [],
): Promise<(ChangeRow | undefined)[]> {
  await client.query("begin");
  const buyers = await client.query<{ id: string; claim: string }>(
    `select r.id, 'buyer:' || r.buyer_id as claim from reservations r join events e on e.id = r.event_id
     where r.id = any($1::uuid[]) and r.buyer_id is not null and e.buyer_limit_seats is not null`,
    [changes.map(({ reservationId }) => reservationId)],
  );
  const callers = await callersToClaim(client, changes, limitedCallers);
  const keys = changes.flatMap(({ reservationId, key }) => (key ? [{ reservationId, key }] : []));
  const refused = await tryClaims(client, [
    ...keys.map(({ reservationId, key }) => ({ reservationId, claim: claimOfKey(key) })),
    ...buyers.rows.map(({ id, claim }) => ({ reservationId: id, claim })),
    ...callers,
  ]);
  const isRefused = ({ reservationId }: ReservationChange) => refused.has(reservationId);
  const putOff = laterOfABuyer(changes, new Map(buyers.rows.map((row) => [row.id, row.claim])));
  const open = changes.filter((change) => !isRefused(change) && !putOff.has(change));
  const rows = await execute(client, changeReservationsWithClaims, open, {
    limitedCallers: arrayOf(limitedCallers),
    keys: JSON.stringify(keys.map(({ reservationId, key }) => ({ reservationId, ...key }))),
  });
  await client.query("commit");
  const answers = new Map(open.map((change, index) => [change, rows[index]]));
  return changes.map(
    (change) => answers.get(change) ?? (putOff.has(change) && !isRefused(change) ? PUT_OFF : undefined),
  );
}

/**
 * Claims the callers of extended holds, which count longer against their caller's limit. Otherwise another
 * hold could be made when the extended one would have ended. A hold's caller never changes, so it is read
 * without a lock.
 */
async function callersToClaim(
  client: pg.PoolClient,
  changes: ReservationChange[],
  limitedCallers: CallerKind[],
): Promise<{ reservationId: string; claim: string }[]> {
  const extended = changes.flatMap(({ reservationId, action }) =>
    action === "extend" ? [reservationId] : [],
  );
  if (limitedCallers.length === 0 || extended.length === 0) return [];
  const { rows } = await client.query<{ id: string; caller: string }>(
    "select id, caller from reservations where id = any($1::uuid[]) and left(caller, 3) = any($2::text[])",
    [extended, limitedCallers],
  );
  return rows.map(({ id, caller }) => ({ reservationId: id, claim: claimOfCaller(caller) }));
}

const PUT_OFF: ChangeRow = {
  verdict: "again",
  status: null,
  facts: null,
  seats: [],
  final: false,
  gone: null,
};

/**
 * Returns all changes of a buyer's reservations except the first. Each needs its own transaction: one
 * statement counts the buyer's seats as they were before all its changes, and was seen to let two
 * reservations exceed the limit together.
 */
function laterOfABuyer(changes: ReservationChange[], buyerOf: Map<string, string>): Set<ReservationChange> {
  const met = new Set<string>();
  return new Set(
    changes.filter(({ reservationId }) => {
      const buyer = buyerOf.get(reservationId);
      if (buyer === undefined) return false;
      const isLater = met.has(buyer);
      met.add(buyer);
      return isLater;
    }),
  );
}

async function execute(
  client: pg.Client | pg.PoolClient,
  statement: Prepared,
  changes: ReservationChange[],
  more: Record<string, unknown>,
): Promise<ChangeRow[]> {
  const rows = await executePrepared<ChangeRow>(client, statement, {
    reservationIds: arrayOf(changes.map(({ reservationId }) => reservationId)),
    actions: arrayOf(changes.map(({ action }) => action)),
    changeIds: arrayOf(changes.map(({ changeId }) => changeId)),
    actIds: arrayOf(changes.map(({ actId }) => actId ?? "NULL")),
    ...more,
  });
  assert(rows.length === changes.length, "the statement answers for each reservation of the batch");
  return rows;
}
