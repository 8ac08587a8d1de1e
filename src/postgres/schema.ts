import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  char,
  check,
  customType,
  index,
  integer,
  jsonb,
  pgEnum,
  pgSequence,
  pgTable,
  primaryKey,
  real,
  smallint,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import type { PriceTier, SectionLayout } from "../venue/layout.ts";

const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });

/** A 64-bit transaction id. It never wraps, so its order is the order in which writers began. */
export const xid8 = customType<{ data: string }>({ dataType: () => "xid8" });

export const seatStatus = pgEnum("seat_status", ["available", "held", "reserved"]);

/**
 * `void` fences an id whose outcome was in doubt: the statement that carried it on a lost connection can no
 * longer commit it.
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

export const eventStatus = pgEnum("event_status", ["open", "closed"]);
export const sectionKind = pgEnum("section_kind", ["assigned", "general"]);
export const apiKeyRole = pgEnum("api_key_role", ["admin", "seller", "reader"]);

/** Counts the changes of the catalogue, so that a process knows whether its copy is current. */
export const catalogueRevision = pgSequence("catalogue_revision");

export const events = pgTable("events", {
  id: bigint({ mode: "number" }).primaryKey().generatedByDefaultAsIdentity(),
  name: text().notNull(),
  currency: char({ length: 3 }).notNull(),
  /** If false, a reserved seat never becomes free again and memory may refuse it for good. */
  cancellable: boolean().notNull().default(false),
  status: eventStatus().notNull().default("open"),
  /** Sales start; null means no limit. */
  onSaleAt: timestamp("on_sale_at", { withTimezone: true }),
  /** Sales end; null means no limit. */
  offSaleAt: timestamp("off_sale_at", { withTimezone: true }),
  holdTtlSeconds: integer("hold_ttl_seconds").notNull().default(600),
  /** Longest life of a hold, counted from its creation; extensions do not exceed it. */
  holdLimitSeconds: integer("hold_limit_seconds").notNull().default(1800),
  reservationLimitSeats: smallint("reservation_limit_seats").notNull().default(20),
  /** Seats that one buyer may have in live reservations; null means no limit. */
  buyerLimitSeats: integer("buyer_limit_seats"),
  /** Holds are not extended while the event is closed. Opening it resets both. */
  stopsExtensions: boolean("stops_extensions").notNull().default(false),
  /** Holds are not confirmed while the event is closed. */
  stopsConfirmations: boolean("stops_confirmations").notNull().default(false),
  /**
   * The point that the best seats are nearest to, in the coordinates of the sections; null means the middle
   * of the first row.
   */
  focalX: real("focal_x"),
  focalY: real("focal_y"),
  /** In the order of `seats.price_tier`, from 0. */
  priceTiers: jsonb("price_tiers").$type<PriceTier[]>().notNull().default([]),
  /** Taken from `catalogue_revision` at each change. */
  revision: bigint({ mode: "number" }).notNull().default(sql`nextval('catalogue_revision')`),
  createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
});

/** A section of an event. Its seats have consecutive ids, in the order of the layout. */
export const sections = pgTable(
  "sections",
  {
    id: integer().primaryKey().generatedByDefaultAsIdentity(),
    eventId: bigint("event_id", { mode: "number" }).notNull(),
    name: text().notNull(),
    kind: sectionKind().notNull(),
    firstSeatId: bigint("first_seat_id", { mode: "number" }).notNull(),
    seatCount: integer("seat_count").notNull(),
    layout: jsonb().$type<SectionLayout>().notNull(),
  },
  (section) => [uniqueIndex("sections_event_name").on(section.eventId, section.name)],
);

/**
 * One row per seat. No index contains a column that a sale changes, and pages are filled to only 45 %, so a
 * sale's update is heap-only (docs/decisions/0013-half-empty-pages.md).
 */
export const seats = pgTable(
  "seats",
  {
    id: bigint({ mode: "number" }).primaryKey().generatedByDefaultAsIdentity(),
    eventId: bigint("event_id", { mode: "number" }).notNull(),
    /** Null for seats created without a layout. */
    sectionId: integer("section_id"),
    rowLabel: text("row_label"),
    /** Null in general admission. */
    seatNumber: text("seat_number"),
    /** Null if the price does not fit an `integer`. */
    priceMinor: integer("price_minor"),
    /** A price that does not fit. Widening `price_minor` would rewrite the table and stop the sale meanwhile. */
    priceMinorLarge: bigint("price_minor_large", { mode: "number" }),
    priceTier: smallint("price_tier").notNull().default(0),
    accessible: boolean().notNull().default(false),
    restrictedView: boolean("restricted_view").notNull().default(false),
    status: seatStatus().notNull().default("available"),
    version: integer().notNull().default(0),
    reservationId: uuid("reservation_id"),
    holdExpiresAt: timestamp("hold_expires_at", { withTimezone: true }),
    /** Epoch and transaction of the last change; a writer that began earlier changes nothing. */
    lastEpoch: integer("last_epoch").notNull().default(0),
    lastTxid: xid8("last_txid").notNull().default("0"),
  },
  (seat) => [
    uniqueIndex("seats_section_row_number").on(seat.sectionId, seat.rowLabel, seat.seatNumber),
    check("seats_version_not_negative", sql`${seat.version} >= 0`),
    check(
      "seats_owner_matches_status",
      sql`(${seat.status} = 'available') = (${seat.reservationId} is null) and (${seat.status} = 'held') = (${seat.holdExpiresAt} is not null)`,
    ),
  ],
);

export const reservations = pgTable(
  "reservations",
  {
    id: uuid().primaryKey(),
    eventId: bigint("event_id", { mode: "number" }),
    status: reservationStatus().notNull(),
    seatCount: smallint("seat_count").notNull(),
    /** In the order of the request, with the price of each when it was taken. */
    seatIds: bigint("seat_ids", { mode: "number" }).array().notNull().default([]),
    pricesMinor: integer("prices_minor").array().notNull().default([]),
    /** All prices, if one does not fit an `integer`; `prices_minor` is then empty. */
    pricesMinorLarge: bigint("prices_minor_large", { mode: "number" }).array(),
    buyerId: text("buyer_id"),
    /** The creator of the hold: `key:<id>`, or `net:<salted hash>` of an anonymous client's network. */
    caller: text(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
    expiresAt: timestamp("expires_at", { withTimezone: true }),
    /**
     * Ids of changes that must no longer happen: their responses were lost, and the ledger did not have them.
     * A change that arrives late finds its id here under the row's lock. (`void` does the same for a
     * reservation's own id.)
     */
    fencedChangeIds: uuid("fenced_change_ids").array(),
  },
  (reservation) => [
    // All are partial and contain no row of the reserve route.
    index("reservations_due").on(reservation.expiresAt).where(sql`status = 'held'`),
    index("reservations_buyer").on(reservation.buyerId, reservation.eventId).where(sql`buyer_id is not null`),
    // Created concurrently after the migrations (caller-index.ts); in a migration it would stop the sale.
    index("reservations_caller").on(reservation.caller).where(sql`status = 'held' and caller is not null`),
    // Stops engines older than `price_minor_large` from selling such a seat without its price.
    check("reservations_prices_known", sql`array_position(${reservation.pricesMinor}, null) is null`),
  ],
);

/**
 * The responses to requests with an `Idempotency-Key`, kept for 24 hours. A reservation's response is rebuilt
 * from its row and `expires_at`; any other is stored as sent (docs/decisions/0015-kept-answers.md).
 */
export const idempotencyKeys = pgTable(
  "idempotency_keys",
  {
    /** The owner of the key. */
    scope: text().notNull(),
    key: text().notNull(),
    /** SHA-256 of method, route and payload. */
    fingerprint: text().notNull(),
    reservationId: uuid("reservation_id"),
    expiresAt: timestamp("expires_at", { withTimezone: true }),
    status: smallint(),
    body: text(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
  },
  (row) => [
    primaryKey({ columns: [row.scope, row.key] }),
    index("idempotency_keys_created").on(row.createdAt),
  ],
);

export const apiKeys = pgTable("api_keys", {
  id: uuid().primaryKey(),
  name: text().notNull(),
  role: apiKeyRole().notNull(),
  /** SHA-256 of the whole key, in hexadecimal. A key is 256 random bits, so the hash needs no salt. */
  keyHash: text("key_hash").notNull().unique(),
  createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
  revokedAt: timestamp("revoked_at", { withTimezone: true }),
});

/** Secrets shared by all processes of this database. */
export const secrets = pgTable("secrets", {
  name: text().primaryKey(),
  value: text().notNull(),
});

/**
 * The ledger: append-only, one row per version of a seat; outbox, audit trail and time machine at once.
 * Readers go by (epoch, txid, id), never by id alone, because a later id can commit earlier
 * (docs/decisions/0008-ledger-order.md).
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
    /** The administrator's act that made the change (`admin_log.id`). */
    actId: bigint("act_id", { mode: "number" }),
    occurredAt: timestamp("occurred_at", { withTimezone: true }).notNull().defaultNow(),
    /**
     * The id of the change that wrote the row, the same in all rows of one change. It is generated before the
     * change is sent, so that an attempt whose response was lost is found by it. Null if the reservation's
     * own id does that (RESERVED and HELD of newly taken seats), and in rows older than this column.
     */
    changeId: uuid("change_id"),
    /** The end of the hold after an extension; null for every other change. */
    holdExpiresAt: timestamp("hold_expires_at", { withTimezone: true }),
  },
  (row) => [
    primaryKey({ columns: [row.seatId, row.version] }),
    uniqueIndex("seat_events_publish_order").on(row.epoch, row.txid, row.id),
  ],
);

/**
 * A new epoch starts when the database continues elsewhere (restored, promoted). Transaction ids start over
 * there, and events of an older epoch must be neither skipped nor reissued. This includes a dump restored in
 * the same place, which does not know what was published since. `place` detects that: it consists of the oids
 * of the database and of this table, and is null for epochs older than the column.
 */
export const ledgerEpochs = pgTable("ledger_epochs", {
  epoch: integer().primaryKey(),
  systemIdentifier: text("system_identifier").notNull(),
  timeline: integer().notNull(),
  place: text(),
  startedAt: timestamp("started_at", { withTimezone: true }).notNull().defaultNow(),
});

/**
 * The ledger's hash chain (src/ledger/chain.ts): one row per sealed window, which ends with the row at
 * (epoch, txid, id). `number` has no gaps.
 */
export const ledgerCheckpoints = pgTable("ledger_checkpoints", {
  number: bigint({ mode: "number" }).primaryKey(),
  epoch: integer().notNull(),
  txid: xid8().notNull(),
  id: bigint({ mode: "number" }).notNull(),
  rowCount: integer("row_count").notNull(),
  /** Rows of all windows up to this one. */
  rowsTotal: bigint("rows_total", { mode: "number" }).notNull(),
  /** The chain's SHA-256 after its last row; the proof relies on it alone. */
  digest: bytea().notNull(),
  /** CRC-32 of each row, 4 bytes big-endian. It identifies the changed row after the digest shows a change. */
  rowDigests: bytea("row_digests").notNull(),
  /** The form in which rows were hashed (`ROW_FORM` in src/postgres/ledger.ts). Older engines leave the default. */
  rowForm: smallint("row_form").notNull().default(1),
  createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
});
