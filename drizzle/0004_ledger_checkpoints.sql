CREATE TABLE "ledger_checkpoints" (
	"number" bigint PRIMARY KEY NOT NULL,
	"epoch" integer NOT NULL,
	"txid" "xid8" NOT NULL,
	"id" bigint NOT NULL,
	"row_count" integer NOT NULL,
	"rows_total" bigint NOT NULL,
	"digest" "bytea" NOT NULL,
	"row_digests" "bytea" NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
