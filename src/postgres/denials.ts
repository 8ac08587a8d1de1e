import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { type ActOrigin, recordAct } from "./admin-log.ts";
import { ADVISORY_LOCKS } from "./epoch.ts";
import { millisecondsOf, rowOf, rowsOf } from "./query.ts";

/** Maximum denials in force; every process reads all of them each second. */
export const DENIAL_LIMIT = 1000;

export interface Denial {
  /** The id of the act that created it. */
  denialId: number;
  caller: string;
  /** The length of the prefix, if the network is wider than one client's; otherwise null. */
  prefixBits: number | null;
  reason: string;
  /** By the database's clock. */
  secondsLeft: number;
  deniedUntilMs: number;
}

/** Reads the denials in force. */
export const readDenials = (database: NodePgDatabase): Promise<Denial[]> =>
  rowsOf(
    database,
    sql`select act_id::float8 as "denialId", caller, prefix_bits as "prefixBits", reason,
               extract(epoch from denied_until - now())::float8 as "secondsLeft", ${millisecondsOf("denied_until")} as "deniedUntilMs"
        from denials where ended_at is null and denied_until > now()
        order by act_id limit ${DENIAL_LIMIT}`,
  );

/**
 * Denies a caller, replacing an earlier denial of the same caller.
 * @returns undefined if there are too many denials
 */
export function denyCaller(
  database: NodePgDatabase,
  { caller, prefixBits, seconds }: { caller: string; prefixBits: number | null; seconds: number },
  origin: ActOrigin & { reason: string },
): Promise<Denial | undefined> {
  return database.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.denials})`);
    await tx.execute(sql`update denials set ended_at = now() where caller = ${caller} and ended_at is null`);
    const active = sql`select count(*)::int as count from denials where ended_at is null and denied_until > now()`;
    if ((await rowOf<{ count: number }>(tx, active)).count >= DENIAL_LIMIT) return undefined;
    const denialId = await recordAct(tx, origin, "caller.denied", { caller, prefixBits, seconds });
    return rowOf<Denial>(
      tx,
      sql`insert into denials (act_id, caller, prefix_bits, reason, denied_until)
          values (${denialId}, ${caller}, ${prefixBits}, ${origin.reason}, now() + ${seconds} * interval '1 second')
          returning act_id::float8 as "denialId", caller, prefix_bits as "prefixBits", reason,
                    ${seconds}::float8 as "secondsLeft", ${millisecondsOf("denied_until")} as "deniedUntilMs"`,
    );
  });
}

/**
 * Ends a denial; one that is already over stays as it is.
 * @returns whether the denial exists
 */
export function endDenial(database: NodePgDatabase, denialId: number, origin: ActOrigin): Promise<boolean> {
  return database.transaction(async (tx) => {
    const ended = await tx.execute(sql`
      update denials set ended_at = now() where act_id = ${denialId} and ended_at is null and denied_until > now()`);
    if (ended.rowCount) await recordAct(tx, origin, "denial.ended", { denialId });
    const found = await tx.execute(sql`select from denials where act_id = ${denialId}`);
    return (found.rowCount ?? 0) > 0;
  });
}
