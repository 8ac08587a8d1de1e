import type pg from "pg";
import { arrayOf } from "./arrays.ts";
import { changeStatement, guardedChanges, plainChanges } from "./change-statement.ts";
import { claimOfCaller, claimOfKey, type KeyClaim, tryClaims } from "./guards.ts";
import { executePrepared, type Prepared, prepared } from "./prepared.ts";

/** What may be done to a reservation that is there. `expire` is the sweeper's. */
export type ChangeAction = "confirm" | "release" | "extend" | "cancel" | "expire";

/** A reservation as its answers tell it. */
export interface ReservationFacts {
  reservationId: string;
  eventId: number;
  seatIds: number[];
  /** One a seat. */
  pricesMinor: number[];
  /** Null for what was never held. */
  expiresAtMs: number | null;
}

export interface ChangeRow {
  verdict:
    | "done"
    | "missing"
    /** `status` does not allow it. */
    | "refused"
    /** The hold is over, and others have some of its seats: `gone`. */
    | "gone"
    /** Somebody has a lock on it, it changed at this moment, or it needs a transaction of its own: nothing was changed, ask again. */
    | "again"
    /** Must be asked in the way that counts the buyer's seats. */
    | "capped"
    | "over_limit"
    /** The event is closed, and its closing stops the action. */
    | "stopped"
    | "replayed"
    | "key_mismatch";
  /** Before the change; `expired` also for a hold that is over and not swept yet. Null when it is missing. */
  status: "held" | "confirmed" | "released" | "expired" | "cancelled" | "void" | null;
  /** After the change, or as it was; null for an expiry and what is missing. */
  facts: ReservationFacts | null;
  /** The seats that changed, with their new versions. */
  seats: [seatId: number, version: number][];
  /** Whether `reserved` is for good in its event. */
  final: boolean;
  gone: number[] | null;
}

/** One a reservation. */
export interface ChangeRequests {
  reservationIds: string[];
  actions: ChangeAction[];
  /** A new id for each attempt, made before it is sent: if the answer is lost, the attempt is looked up by it. */
  changeIds: string[];
  /** The administrators' acts (`admin_log.id`) that ask for the changes; absent if none does. */
  actIds?: (number | null)[];
  /** The kinds of callers whose held seats are limited: the first three letters of `reservations.caller`. */
  limitedCallers?: CallerKind[];
}

export type CallerKind = "key" | "net";

export interface ChangeGuard {
  reservationId: string;
  key: KeyClaim | null;
}

const changeReservations = prepared("change_reservations", changeStatement(plainChanges));
const changeReservationsGuarded = prepared("change_reservations_guarded", changeStatement(guardedChanges));

/** @throws what the connection or the server says; `faultOf` tells what it left behind. */
export function commitChanges(
  client: pg.Client | pg.PoolClient,
  requests: ChangeRequests,
): Promise<ChangeRow[]> {
  return execute(client, changeReservations, requests, {});
}

/**
 * As `commitChanges`, for changes with a key or under a buyer's limit: in a transaction that takes these
 * claims by a statement of its own first.
 * @returns undefined where a claim is somebody else's.
 */
export async function commitGuardedChanges(
  client: pg.PoolClient,
  requests: ChangeRequests,
  guards: ChangeGuard[],
): Promise<(ChangeRow | undefined)[]> {
  await client.query("begin");
  const buyers = await client.query<{ id: string; claim: string }>(
    `select r.id, 'buyer:' || r.buyer_id as claim from reservations r join events e on e.id = r.event_id
     where r.id = any($1::uuid[]) and r.buyer_id is not null and e.buyer_limit_seats is not null`,
    [requests.reservationIds],
  );
  const callers = await callersToClaim(client, requests);
  const refused = await tryClaims(client, [
    ...guards.flatMap(({ reservationId, key }) => (key ? [{ reservationId, claim: claimOfKey(key) }] : [])),
    ...buyers.rows.map(({ id, claim }) => ({ reservationId: id, claim })),
    ...callers,
  ]);
  const putOff = laterOfABuyer(
    requests.reservationIds,
    new Map(buyers.rows.map((row) => [row.id, row.claim])),
  );
  const open = requests.reservationIds.flatMap((id, position) =>
    refused.has(id) || putOff.has(id) ? [] : [position],
  );
  const rows = await execute(
    client,
    changeReservationsGuarded,
    {
      reservationIds: open.map((position) => requests.reservationIds[position] ?? ""),
      actions: open.map((position) => requests.actions[position] ?? "expire"),
      changeIds: open.map((position) => requests.changeIds[position] ?? ""),
      ...(requests.limitedCallers && { limitedCallers: requests.limitedCallers }),
      ...(requests.actIds && { actIds: open.map((position) => requests.actIds?.[position] ?? null) }),
    },
    {
      keys: JSON.stringify(
        guards.flatMap(({ reservationId, key }) => (key ? [{ reservationId, ...key }] : [])),
      ),
    },
  );
  await client.query("commit");
  const answers = requests.reservationIds.map((id) =>
    putOff.has(id) && !refused.has(id) ? PUT_OFF : undefined,
  );
  for (const [index, position] of open.entries()) answers[position] = rows[index];
  return answers;
}

/**
 * An extended hold counts longer against its caller's limit, so it needs the caller's claim: otherwise another hold could
 * be made at the moment when it would have ended. A hold's caller never changes, so it is read without a lock.
 */
async function callersToClaim(
  client: pg.PoolClient,
  { reservationIds, actions, limitedCallers = [] }: ChangeRequests,
): Promise<{ reservationId: string; claim: string }[]> {
  const extended = reservationIds.filter((_, position) => actions[position] === "extend");
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
 * All reservations of a buyer but the first. Each needs a transaction of its own: one statement counts the
 * buyer's seats as they were before all of its changes, and let two reservations pass the limit together. (Seen.)
 */
function laterOfABuyer(reservationIds: string[], buyerOf: Map<string, string>): Set<string> {
  const met = new Set<string>();
  return new Set(
    reservationIds.filter((id) => {
      const buyer = buyerOf.get(id);
      if (buyer === undefined) return false;
      const isLater = met.has(buyer);
      met.add(buyer);
      return isLater;
    }),
  );
}

function execute(
  client: pg.Client | pg.PoolClient,
  statement: Prepared,
  { reservationIds, actions, changeIds, actIds = [], limitedCallers = [] }: ChangeRequests,
  more: Record<string, unknown>,
): Promise<ChangeRow[]> {
  return executePrepared<ChangeRow>(client, statement, {
    reservationIds: arrayOf(reservationIds),
    actions: arrayOf(actions),
    changeIds: arrayOf(changeIds),
    // A shorter array is padded with nulls.
    actIds: arrayOf(actIds.map((actId) => actId ?? "NULL")),
    limitedCallers: arrayOf(limitedCallers),
    ...more,
  });
}
