import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { ReservationFacts } from "./change.ts";
import { type KeyClaim, keyIsAlive } from "./guards.ts";

/** A reservation as its owner sees it. */
export interface ReservationView extends ReservationFacts {
  /** `expired` also for a hold that is over and not swept yet. */
  status: "held" | "confirmed" | "released" | "expired" | "cancelled";
  createdAtMs: number;
}

const factsOf = (expiresAt: string) =>
  sql.raw(`r.id as "reservationId", r.event_id::float8 as "eventId", array_to_json(r.seat_ids) as "seatIds",
    array_to_json(r.prices_minor) as "pricesMinor", floor(extract(epoch from ${expiresAt}) * 1000)::float8 as "expiresAtMs"`);

export async function findReservation(
  database: NodePgDatabase,
  reservationId: string,
): Promise<ReservationView | undefined> {
  const { rows } = await database.execute<ReservationView & Record<string, unknown>>(sql`
    select ${factsOf("r.expires_at")}, floor(extract(epoch from r.created_at) * 1000)::float8 as "createdAtMs",
           case when r.status = 'held' and r.expires_at <= now() then 'expired' else r.status::text end as status
    from reservations r where r.id = ${reservationId}::uuid and r.status <> 'void'`);
  return rows[0];
}

export async function findFacts(
  database: NodePgDatabase,
  reservationId: string,
): Promise<ReservationFacts | undefined> {
  const { rows } = await database.execute<ReservationFacts & Record<string, unknown>>(sql`
    select ${factsOf("r.expires_at")} from reservations r where r.id = ${reservationId}::uuid and r.status <> 'void'`);
  return rows[0];
}

/** What a key was answered with: the reservation as it was then. Undefined when it was not, or for another request. */
export async function findReplay(
  database: NodePgDatabase,
  { scope, key, fingerprint }: KeyClaim,
): Promise<ReservationFacts | undefined> {
  const { rows } = await database.execute<ReservationFacts & Record<string, unknown>>(sql`
    select ${factsOf("k.expires_at")} from idempotency_keys k join reservations r on r.id = k.reservation_id
    where k.scope = ${scope} and k.key = ${key} and k.fingerprint = ${fingerprint} and ${keyIsAlive("k")}`);
  return rows[0];
}

/** When the first of the holds on these seats ends, in ms since 1970. */
export async function findEarliestHoldEnd(
  database: NodePgDatabase,
  seatIds: number[],
): Promise<number | undefined> {
  const { rows } = await database.execute<{ endsAtMs: number | null }>(sql`
    select floor(extract(epoch from min(hold_expires_at)) * 1000)::float8 as "endsAtMs"
    from seats where id = any(${sql.param(seatIds)}::bigint[]) and hold_expires_at > now()`);
  return rows[0]?.endsAtMs ?? undefined;
}
