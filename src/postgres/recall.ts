import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { ChangeRow, ReservationFacts } from "./change.ts";
import { reservationPrices } from "./prices.ts";
import { arrayOf, millisecondsOf, rowsOf } from "./query.ts";

/** An attempt whose response was lost. A reservation may have several. */
export interface LostChange {
  reservationId: string;
  changeId: string;
}

/** The fate of an attempt whose response was lost. */
export type Recalled =
  /** It was committed: its own result, whatever happened to the reservation since. */
  | { kind: "done"; facts: ReservationFacts; seats: ChangeRow["seats"]; final: boolean }
  /** It was not committed, and never can be. */
  | { kind: "never" }
  /** The reservation is locked at the moment, perhaps by the attempt itself: ask again. */
  | { kind: "running" };

/**
 * How many fenced ids a reservation's row keeps, each of a lost attempt that was not found. A message takes
 * seconds at most, so the oldest of these can no longer arrive.
 */
const FENCED_LIMIT = 64;

/**
 * Settles what became of changes whose responses were lost (docs/decisions/0007-fence-what-is-in-doubt.md).
 *
 * Each reservation's row is locked, and the ids are added to its fence. After that no attempt can take
 * effect, because the statement checks the fence under that lock (as `void` does for a new reservation). An
 * attempt that took effect earlier has rows in the ledger; the second statement sees them, because its
 * snapshot is newer than the lock. It never waits: a locked row is reported as `running`.
 */
export function recallChanges(database: NodePgDatabase, lost: LostChange[]): Promise<Recalled[]> {
  const reservationIds = arrayOf(lost.map(({ reservationId }) => reservationId));
  const changeIds = arrayOf(lost.map(({ changeId }) => changeId));
  const requested = sql`unnest(${reservationIds}::uuid[], ${changeIds}::uuid[])
    with ordinality as q(reservation_id, change_id, position)`;
  return database.transaction(async (tx) => {
    const fence = sql`
      with locked as materialized (
        select r.id, (select array_agg(q.change_id) from ${requested} where q.reservation_id = r.id) as change_ids
        from reservations r
        where r.id = any(${reservationIds}::uuid[])
        order by r.id
        for no key update of r skip locked
      )
      update reservations r
      set fenced_change_ids = (l.change_ids || coalesce(r.fenced_change_ids, '{}'))[1:${sql.raw(String(FENCED_LIMIT))}]
      from locked l
      where r.id = l.id
      returning r.id`;
    const locked = await rowsOf<{ id: string }>(tx, fence);
    const attempts = sql`
      select r.id is null or r.id = any(${arrayOf(locked.map(({ id }) => id))}::uuid[]) as known, own.seats, own.facts,
             coalesce(not e.cancellable, false) as final
      from ${requested}
      left join reservations r on r.id = q.reservation_id
      left join events e on e.id = r.event_id
      left join lateral (
        select json_agg(json_build_array(l.seat_id, l.version)) as seats, json_build_object(
          'reservationId', r.id, 'eventId', r.event_id, 'seatIds', r.seat_ids, 'pricesMinor', ${reservationPrices("r")},
          'expiresAtMs', ${millisecondsOf("coalesce(min(l.hold_expires_at), r.expires_at)")}) as facts
        from unnest(r.seat_ids) as seat(id)
        join seat_events l on l.seat_id = seat.id and l.change_id = q.change_id
      ) own on true
      order by q.position`;
    return (await rowsOf<Found>(tx, attempts)).map(recalledOf);
  });
}

interface Found {
  /** Whether the row is fenced or does not exist: an attempt that is not found can then never take effect. */
  known: boolean;
  seats: ChangeRow["seats"] | null;
  facts: ReservationFacts;
  final: boolean;
}

function recalledOf({ known, seats, facts, final }: Found): Recalled {
  if (!known) return { kind: "running" };
  return seats === null ? { kind: "never" } : { kind: "done", facts, seats, final };
}
