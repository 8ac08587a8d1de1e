import { Client } from "pg";

/**
 * Writes ledger rows as other processes do, without a word to the engine. The seats need not exist: only the
 * ledger is looked at here.
 */
export interface LedgerWriter {
  client: Client;
  /** One row more for each of these seats, in one statement. */
  write(seatIds: number[], eventId?: number): Promise<void>;
  /** That many rows of seats that nobody else has, in one transaction. */
  flood(count: number, eventId?: number): Promise<void>;
}

let nextFloodSeat = 1_000_000;

export async function openLedgerWriter(
  stack: AsyncDisposableStack,
  databaseUrl: string,
): Promise<LedgerWriter> {
  const client = new Client({ connectionString: databaseUrl });
  client.on("error", () => undefined);
  await client.connect();
  stack.defer(() => client.end().catch(() => undefined));
  return {
    client,
    write: async (seatIds, eventId = 1) => {
      await client.query(
        `insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
         select (select max(epoch) from ledger_epochs), seat_id,
                (select coalesce(max(version), 0) + 1 from seat_events e where e.seat_id = given.seat_id),
                $2, 'HELD', gen_random_uuid()
         from unnest($1::bigint[]) as given (seat_id)`,
        [seatIds, eventId],
      );
    },
    flood: async (count, eventId = 1) => {
      const first = nextFloodSeat;
      nextFloodSeat += count;
      await client.query(
        `insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
         select (select max(epoch) from ledger_epochs), $1::bigint + number, 1, $3, 'RELEASED', gen_random_uuid()
         from generate_series(0, $2::int - 1) as number`,
        [first, count, eventId],
      );
    },
  };
}
