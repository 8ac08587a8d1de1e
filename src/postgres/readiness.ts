import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { type Pulse, readPulse } from "./catalogue.ts";
import { causeMessageOf, codeOf, faultOf, isSlow, SQLSTATE, Unsellable } from "./faults.ts";
import { hasMoved } from "./pooler.ts";
import { SALE_PRIVILEGES } from "./privileges.ts";
import { rowOf } from "./query.ts";
import { awaitStandbys } from "./standbys.ts";

/**
 * How long the probe waits for a table's lock. Longer than a migration holds one (`LOCK_TIMEOUT_MS` in
 * migrations.ts), and short enough that, with the probe's interval, a lock is noticed within 2 s.
 */
export const PROBE_LOCK_TIMEOUT_MS = 500;

const NEEDED = SALE_PRIVILEGES.map(([table, privilege]) => `('${table}', '${privilege}')`).join(", ");

/**
 * Names `seats` without reading it, so that the probe, and not the first reader, meets a lock that blocks
 * readers.
 */
const CONDITIONS = sql.raw(`
  select pg_is_in_recovery() as standby, current_setting('transaction_read_only') = 'on' as "readOnly",
         (select string_agg(lower(privilege) || ' on ' || needed, ', ') from (values ${NEEDED}) as n(needed, privilege)
          where not has_any_column_privilege(needed, privilege)) as missing,
         exists (select from seats where false) as "isSeen", pg_backend_pid() as session`);

interface Conditions {
  standby: boolean;
  readOnly: boolean;
  missing: string | null;
  session: number;
}

/** The probe's findings when seats can be sold. */
export interface Probed extends Pulse {
  /** Whether the connection has another session than before, which only a pooler causes. */
  hasMoved: boolean;
}

/** Takes the locks of a sale and releases them; writes nothing. */
const LOCKS = `begin; lock table seats, reservations, seat_events, idempotency_keys in row exclusive mode; rollback`;

/**
 * Checks whether seats can be sold, without writing anything.
 * @throws {Unsellable} if they cannot although the database responds; another error if it does not respond
 */
export async function probeSale(client: pg.PoolClient): Promise<Probed> {
  const database = drizzle(client);
  const pulse = await readPulse(database);
  const found = await rowOf<Conditions>(database, CONDITIONS);
  if (found.standby) throw new Unsellable("this Postgres is a standby");
  if (found.readOnly) throw new Unsellable("the database is read-only (default_transaction_read_only is on)");
  if (found.missing) throw new Unsellable(`the engine's role has lost privileges: ${found.missing}`);
  await client.query(LOCKS).catch((error: unknown) => {
    if (codeOf(error) !== SQLSTATE.lockNotAvailable) throw error;
    throw new Unsellable("another session locks a table of the sale (pg_locks)");
  });
  await awaitStandbys(client);
  return { ...pulse, hasMoved: hasMoved(client, found.session) };
}

/**
 * A sale that is rolled back. It needs the connection, the privileges, the triggers and the disk space of a
 * real one, and touches no seat.
 */
const REHEARSAL = `begin;
  insert into reservations (id, status, seat_count) values (gen_random_uuid(), 'void', 0);
  insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
  values (0, -1 - floor(random() * 1e15)::bigint, 0, 0, 'RESERVED', gen_random_uuid());
  rollback`;

/** @throws if a sale would fail */
export async function rehearseSale(client: pg.PoolClient): Promise<void> {
  await client.query(REHEARSAL);
}

/** Classifies the error of a failed probe or rehearsal. */
export function probeFaultOf(error: unknown): { kind: "unsellable" | "away" | "slow"; reason: string } {
  const reason = causeMessageOf(error);
  if (error instanceof Unsellable) return { kind: "unsellable", reason };
  if (isSlow(error)) return { kind: "slow", reason };
  if (codeOf(error) === SQLSTATE.lockNotAvailable)
    return { kind: "away", reason: "another session locks a table of the sale even for readers (pg_locks)" };
  return { kind: faultOf(error) === "doubtful" ? "away" : "unsellable", reason };
}
