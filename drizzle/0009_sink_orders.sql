CREATE TABLE "sink_states" (
	"only_row" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"is_up" boolean NOT NULL,
	"told_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "sink_states_only_row" CHECK ("sink_states"."only_row")
);
--> statement-breakpoint
ALTER TABLE "ledger_cursors" ADD COLUMN "partition_count" integer;--> statement-breakpoint
ALTER TABLE "ledger_cursors" ADD COLUMN "wanted_partition_count" integer;--> statement-breakpoint
ALTER TABLE "ledger_cursors" ADD COLUMN "waits_for_consumers" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "ledger_cursors" ADD COLUMN "again_epoch" integer;--> statement-breakpoint
ALTER TABLE "ledger_cursors" ADD COLUMN "again_txid" "xid8";--> statement-breakpoint
ALTER TABLE "ledger_cursors" ADD COLUMN "again_id" bigint;--> statement-breakpoint
ALTER TABLE "ledger_cursors" ADD COLUMN "again_at" timestamp with time zone;