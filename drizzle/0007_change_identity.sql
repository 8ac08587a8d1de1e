ALTER TABLE "reservations" ADD COLUMN "fenced_change_ids" uuid[];--> statement-breakpoint
ALTER TABLE "seat_events" ADD COLUMN "change_id" uuid;--> statement-breakpoint
ALTER TABLE "seat_events" ADD COLUMN "hold_expires_at" timestamp with time zone;