import { sql } from "drizzle-orm";
import type pg from "pg";
import { executePrepared, prepared } from "./prepared.ts";

/** A request's `Idempotency-Key`, with its owner and the request it was first sent with. */
export interface KeyClaim {
  scope: string;
  key: string;
  /** SHA-256 of method, route and payload. */
  fingerprint: string;
}

/** How long an answered key is remembered. */
export const KEY_LIFETIME_HOURS = 24;

/** Separates the hashes of claims from this project's numeric advisory locks. */
const CLAIM_SEED = 7_310;

/**
 * The names that transactions lock, so that no other transaction decides on the same key, buyer or caller
 * meanwhile.
 */
export const claimOfKey = ({ scope, key }: KeyClaim) => `key:${scope}:${key}`;
export const claimOfBuyer = (buyerId: string) => `buyer:${buyerId}`;
export const claimOfCaller = (caller: string) => `caller:${caller}`;

/**
 * Returns an expression: whether a row of `idempotency_keys` still counts. It is written so that no index serves it:
 * with the index of `created_at`, a look for one key was seen to read all keys of the day.
 */
export const keyIsAlive = (row: string) =>
  sql.raw(`${row}.created_at + interval '${KEY_LIFETIME_HOURS} hours' > now()`);

/**
 * Returns a lateral subquery: the row of `idempotency_keys` that still counts for the key of `row`, if any. The limit
 * makes it one look at the primary key for each request; a join was seen to read all keys of the day for each batch.
 */
export const liveKeyOf = (row: string) =>
  sql`(select k.key, k.fingerprint from idempotency_keys k
    where k.scope = ${sql.raw(row)}.scope and k.key = ${sql.raw(row)}.key and ${keyIsAlive("k")} limit 1)`;

/** Replaces a key that is no longer alive by the new one of a reservation. */
export const replaceKey = sql`on conflict (scope, key) do update
  set fingerprint = excluded.fingerprint, reservation_id = excluded.reservation_id, expires_at = excluded.expires_at,
      status = null, body = null, created_at = now()`;

/** Whether the event of `e` is on sale at this moment, by the database's clock. */
export const onSale = sql`e.status = 'open' and (e.on_sale_at is null or e.on_sale_at <= now())
           and (e.off_sale_at is null or now() < e.off_sale_at)`;

/** Returns an expression: a buyer's seats in live reservations of an event. `but` is a reservation not to count. */
export const liveSeatsOf = (buyerId: string, eventId: string, but: string) =>
  sql.raw(`(select coalesce(sum(x.seat_count), 0) from reservations x
    where x.buyer_id = ${buyerId} and x.event_id = ${eventId} and x.id <> ${but}
      and (x.status = 'confirmed' or (x.status = 'held' and x.expires_at > now())))`);

const claimStatement = prepared(
  "try_claims",
  sql`
  select pg_try_advisory_xact_lock(hashtextextended(claim, ${sql.raw(String(CLAIM_SEED))})) as got
  from unnest(${sql.placeholder("claims")}::text[]) as claim`,
);

/**
 * Takes the claims for the rest of the transaction, without waiting.
 * @returns the reservations that did not get one of their claims
 */
export async function tryClaims(
  client: pg.PoolClient,
  wanted: { reservationId: string; claim: string }[],
): Promise<Set<string>> {
  const rows = await executePrepared<{ got: boolean }>(client, claimStatement, {
    claims: wanted.map(({ claim }) => claim),
  });
  return new Set(wanted.flatMap(({ reservationId }, index) => (rows[index]?.got ? [] : [reservationId])));
}
