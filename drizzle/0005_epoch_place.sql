-- A dump that is restored where it was taken begins an epoch of its own from now on. The epoch of this moment goes on.
ALTER TABLE "ledger_epochs" ADD COLUMN "place" text;--> statement-breakpoint
UPDATE "ledger_epochs" SET "place" = (SELECT oid FROM pg_database WHERE datname = current_database()) || '-' || 'ledger_epochs'::regclass::oid
WHERE "epoch" = (SELECT max("epoch") FROM "ledger_epochs") AND "system_identifier" = (SELECT system_identifier::text FROM pg_control_system());
