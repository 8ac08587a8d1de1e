import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { Transaction } from "./kept-answers.ts";
import { millisecondsOf, rowOf, rowsOf } from "./query.ts";

/** The acts of administrators. Only `holds.released` changes seats; the ledger rows of those changes name its id. */
export const ACT_KINDS = [
  "api-key.created",
  "api-key.revoked",
  "event.created",
  "event.changed",
  "event.opened",
  "event.closed",
  "holds.previewed",
  "holds.released",
  "caller.denied",
  "denial.ended",
] as const;
export type ActKind = (typeof ACT_KINDS)[number];

/** The actor of an act, and the reason. */
export interface ActOrigin {
  /** `key:<id>`, or `command:<user>` for a command line. */
  actor: string;
  reason: string | null;
}

export interface Act extends ActOrigin {
  actId: number;
  kind: ActKind;
  occurredAt: Date;
  detail: Record<string, unknown>;
}

/**
 * Appends an act in the transaction of what it does, so that neither exists without the other.
 * @returns the act's id
 */
export async function recordAct(
  session: NodePgDatabase | Transaction,
  { actor, reason }: ActOrigin,
  kind: ActKind,
  detail: Record<string, unknown>,
): Promise<number> {
  const query = sql`
    insert into admin_log (epoch, kind, actor, reason, detail)
    values ((select max(epoch) from ledger_epochs), ${kind}, ${actor}, ${reason}, ${JSON.stringify(detail)}::jsonb)
    returning id::float8 as "actId"`;
  return (await rowOf<{ actId: number }>(session, query)).actId;
}

/** Lists acts in the order of their ids: at most `limit`, after the given id. */
export async function listActs(
  database: NodePgDatabase,
  { after, limit, kind }: { after: number; limit: number; kind?: ActKind | undefined },
): Promise<Act[]> {
  const query = sql`
    select id::float8 as "actId", kind, actor, reason, detail, ${millisecondsOf("occurred_at")} as "occurredAtMs"
    from admin_log where id > ${after} ${kind === undefined ? sql`` : sql`and kind = ${kind}`}
    order by id limit ${limit}`;
  const rows = await rowsOf<Omit<Act, "occurredAt"> & { occurredAtMs: number }>(database, query);
  return rows.map(({ occurredAtMs, ...act }) => ({ ...act, occurredAt: new Date(occurredAtMs) }));
}
