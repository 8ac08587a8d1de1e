import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  char,
  check,
  customType,
  integer,
  pgEnum,
  pgTable,
  primaryKey,
  smallint,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";

/** A 64-bit transaction id; it never wraps, so its order is the order in which writers began. */
const xid8 = customType<{ data: string }>({ dataType: () => "xid8" });

export const seatStatus = pgEnum("seat_status", ["available", "held", "reserved"]);

/**
 * `void` is the fence of an answer in doubt: an id that was sent to a lost connection and is now
 * taken by a row of its own can never be committed by the statement that carried it.
 */
export const reservationStatus = pgEnum("reservation_status", [
  "held",
  "confirmed",
  "released",
  "expired",
  "cancelled",
  "void",
]);

export const ledgerStatus = pgEnum("ledger_status", [
  "RESERVED",
  "HELD",
  "EXTENDED",
  "RELEASED",
  "EXPIRED",
  "CANCELLED",
]);

export const events = pgTable("events", {
  id: bigint({ mode: "number" }).primaryKey().generatedByDefaultAsIdentity(),
  name: text().notNull(),
  currency: char({ length: 3 }).notNull(),
  /** Where false, a reserved seat never becomes free again and memory may refuse it for good. */
  cancellable: boolean().notNull().default(false),
  createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
});

/**
 * One row a seat. No index holds a column that selling changes, and pages are filled to 80 % only
 * (migration 0001), so the update of a sale is heap-only.
 */
export const seats = pgTable(
  "seats",
  {
    id: bigint({ mode: "number" }).primaryKey().generatedByDefaultAsIdentity(),
    eventId: bigint("event_id", { mode: "number" }).notNull(),
    seatNumber: text("seat_number").notNull(),
    priceMinor: integer("price_minor").notNull(),
    status: seatStatus().notNull().default("available"),
    version: integer().notNull().default(0),
    reservationId: uuid("reservation_id"),
    holdExpiresAt: timestamp("hold_expires_at", { withTimezone: true }),
    /** Epoch and transaction of the last change: a writer that began earlier changes nothing. */
    lastEpoch: integer("last_epoch").notNull().default(0),
    lastTxid: xid8("last_txid").notNull().default("0"),
  },
  (seat) => [
    uniqueIndex("seats_event_seat_number").on(seat.eventId, seat.seatNumber),
    check("seats_version_not_negative", sql`${seat.version} >= 0`),
    check(
      "seats_owner_matches_status",
      sql`(${seat.status} = 'available') = (${seat.reservationId} is null) and (${seat.status} = 'held') = (${seat.holdExpiresAt} is not null)`,
    ),
  ],
);

export const reservations = pgTable("reservations", {
  id: uuid().primaryKey(),
  eventId: bigint("event_id", { mode: "number" }),
  status: reservationStatus().notNull(),
  seatCount: smallint("seat_count").notNull(),
  createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
  expiresAt: timestamp("expires_at", { withTimezone: true }),
});

/**
 * The ledger: append-only, one row a version of a seat; outbox, audit trail and time machine at once.
 * Its reader goes by (epoch, txid, id), never by id alone: a later id can commit earlier.
 */
export const seatEvents = pgTable(
  "seat_events",
  {
    id: bigint({ mode: "number" }).notNull().generatedAlwaysAsIdentity(),
    epoch: integer().notNull(),
    txid: xid8().notNull().default(sql`pg_current_xact_id()`),
    seatId: bigint("seat_id", { mode: "number" }).notNull(),
    version: integer().notNull(),
    eventId: bigint("event_id", { mode: "number" }).notNull(),
    status: ledgerStatus().notNull(),
    reservationId: uuid("reservation_id").notNull(),
    replacesReservationId: uuid("replaces_reservation_id"),
    occurredAt: timestamp("occurred_at", { withTimezone: true }).notNull().defaultNow(),
  },
  (row) => [
    primaryKey({ columns: [row.seatId, row.version] }),
    uniqueIndex("seat_events_publish_order").on(row.epoch, row.txid, row.id),
  ],
);

/**
 * A new epoch begins whenever the database lives on elsewhere (restored, promoted): transaction ids
 * begin anew there, and what an older epoch published must be neither skipped nor reissued.
 */
export const ledgerEpochs = pgTable("ledger_epochs", {
  epoch: integer().primaryKey(),
  systemIdentifier: text("system_identifier").notNull(),
  timeline: integer().notNull(),
  startedAt: timestamp("started_at", { withTimezone: true }).notNull().defaultNow(),
});

/** How far each sink (a Kafka cluster's topic, or a file) has the ledger. */
export const ledgerCursors = pgTable("ledger_cursors", {
  sink: text().primaryKey(),
  epoch: integer().notNull(),
  txid: xid8().notNull(),
  id: bigint({ mode: "number" }).notNull(),
  updatedAt: timestamp("updated_at", { withTimezone: true }).notNull().defaultNow(),
});
