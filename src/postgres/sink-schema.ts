import { sql } from "drizzle-orm";
import { bigint, boolean, check, integer, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { xid8 } from "./schema.ts";

/** The position of each sink (a Kafka cluster's topic, or a file) in the ledger. */
export const ledgerCursors = pgTable("ledger_cursors", {
  sink: text().primaryKey(),
  epoch: integer().notNull(),
  txid: xid8().notNull(),
  id: bigint({ mode: "number" }).notNull(),
  updatedAt: timestamp("updated_at", { withTimezone: true }).notNull().defaultNow(),
  /** The number of partitions that keys are spread over. Null for a file, and until it is known. */
  partitionCount: integer("partition_count"),
  /** An operator's order to the publisher, which carries it out when nothing is being sent and then clears it. */
  wantedPartitionCount: integer("wanted_partition_count"),
  /** Whether that order waits until every consumer group has read everything from the old partitions. */
  waitsForConsumers: boolean("waits_for_consumers").notNull().default(true),
  /** An operator's order to publish again every row after this position: all three columns or none. */
  againEpoch: integer("again_epoch"),
  againTxid: xid8("again_txid"),
  againId: bigint("again_id", { mode: "number" }),
  /** When that order was last carried out. Events that arrive late since then are expected. */
  againAt: timestamp("again_at", { withTimezone: true }),
});

/** The publishing process's view of its sink, for the health of the other processes. It has one row. */
export const sinkStates = pgTable(
  "sink_states",
  {
    onlyRow: boolean("only_row").primaryKey().default(true),
    isUp: boolean("is_up").notNull(),
    toldAt: timestamp("told_at", { withTimezone: true }).notNull().defaultNow(),
  },
  (table) => [check("sink_states_only_row", sql`${table.onlyRow}`)],
);
