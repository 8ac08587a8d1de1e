import { sql } from "drizzle-orm";
import {
  bigint,
  check,
  integer,
  jsonb,
  pgTable,
  smallint,
  text,
  timestamp,
  uniqueIndex,
} from "drizzle-orm/pg-core";
import { xid8 } from "./schema.ts";

/**
 * Acts of administrators: append-only, with actor, time and reason. Their ids come from the ledger's
 * sequence, so that acts have a position among its rows and the chain seals both. The sequence is given by
 * name, so that neither table depends on the other.
 */
export const adminLog = pgTable(
  "admin_log",
  {
    id: bigint({ mode: "number" }).primaryKey().default(sql`nextval('seat_events_id_seq'::text)`),
    epoch: integer().notNull(),
    txid: xid8().notNull().default(sql`pg_current_xact_id()`),
    kind: text().notNull(),
    /** `key:<id>`, or `command:<user>` for a command line. */
    actor: text().notNull(),
    reason: text(),
    detail: jsonb().notNull().default({}),
    occurredAt: timestamp("occurred_at", { withTimezone: true }).notNull().defaultNow(),
  },
  (act) => [
    uniqueIndex("admin_log_seal_order").on(act.epoch, act.txid, act.id),
    // The sealed text separates fields by `|`; reason and detail come last, as JSON.
    check("admin_log_plain_names", sql`${act.kind} ~ '^[a-z.-]+$' and ${act.actor} !~ '[|[:cntrl:]]'`),
  ],
);

/** Callers that are refused for a time. Each row is created by the act of the same id. */
export const denials = pgTable("denials", {
  actId: bigint("act_id", { mode: "number" }).primaryKey(),
  /** Same as `reservations.caller`; for a wider network, the hash of its prefix. */
  caller: text().notNull(),
  /** The length of the prefix, if the network is wider than one client's; otherwise null. */
  prefixBits: smallint("prefix_bits"),
  reason: text().notNull(),
  deniedUntil: timestamp("denied_until", { withTimezone: true }).notNull(),
  endedAt: timestamp("ended_at", { withTimezone: true }),
});
