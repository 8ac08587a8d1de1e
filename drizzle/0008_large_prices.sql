-- Nothing here rewrites or reads a table: each statement takes its lock for an instant, however many rows there are.
CREATE TABLE "schema_compatibility" (
	"id" smallint PRIMARY KEY DEFAULT 1 NOT NULL,
	"newest_migration_ms" bigint NOT NULL,
	"oldest_usable_migration_ms" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "seats" ALTER COLUMN "price_minor" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "seats" ADD COLUMN "price_minor_large" bigint;--> statement-breakpoint
ALTER TABLE "reservations" ADD COLUMN "prices_minor_large" bigint[];--> statement-breakpoint
-- NOT VALID: new rows are checked, and those that are there (none can have a null) are not read.
ALTER TABLE "reservations" ADD CONSTRAINT "reservations_prices_known" CHECK (array_position("reservations"."prices_minor", null) is null) NOT VALID;--> statement-breakpoint
-- Beginning an epoch waits for whoever still writes to the ledger. That lock takes more than the right to append, which
-- is all that an engine's role should have; so it is taken with the right of the role that owns the table.
CREATE FUNCTION "sentinel_lock_ledger"() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
	LOCK TABLE "seat_events", "admin_log" IN SHARE MODE;
END $$;--> statement-breakpoint
REVOKE ALL ON FUNCTION "sentinel_lock_ledger"() FROM PUBLIC;
