CREATE TABLE "admin_log" (
	"id" bigint PRIMARY KEY DEFAULT nextval('seat_events_id_seq'::text) NOT NULL,
	"epoch" integer NOT NULL,
	"txid" "xid8" DEFAULT pg_current_xact_id() NOT NULL,
	"kind" text NOT NULL,
	"actor" text NOT NULL,
	"reason" text,
	"detail" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"occurred_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "admin_log_plain_names" CHECK ("admin_log"."kind" ~ '^[a-z.-]+$' and "admin_log"."actor" !~ '[|[:cntrl:]]')
);
--> statement-breakpoint
CREATE TABLE "denials" (
	"act_id" bigint PRIMARY KEY NOT NULL,
	"caller" text NOT NULL,
	"prefix_bits" smallint,
	"reason" text NOT NULL,
	"denied_until" timestamp with time zone NOT NULL,
	"ended_at" timestamp with time zone
);
--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "stops_extensions" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "stops_confirmations" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "ledger_checkpoints" ADD COLUMN "row_form" smallint DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "reservations" ADD COLUMN "caller" text;--> statement-breakpoint
ALTER TABLE "seat_events" ADD COLUMN "act_id" bigint;--> statement-breakpoint
CREATE UNIQUE INDEX "admin_log_seal_order" ON "admin_log" USING btree ("epoch","txid","id");--> statement-breakpoint
-- The index "reservations_caller" is made after the migrations, concurrently: here it would stop a database that is selling.