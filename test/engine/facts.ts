import { Client } from "pg";
import { expectSound } from "../fixtures/sound.ts";
import { untilWithin } from "../fixtures/until.ts";

interface LedgerRow {
  seatId: number;
  version: number;
  status: string;
  reservationId: string;
  epoch: number;
}

interface SeatRow {
  id: number;
  seatNumber: string;
  status: string;
  version: number;
  reservationId: string | null;
}

/** What Postgres knows, read on a connection of the test's own. */
export interface Facts {
  query<Row>(text: string, values?: unknown[]): Promise<Row[]>;
  seats(): Promise<Map<number, SeatRow>>;
  ledger(): Promise<LedgerRow[]>;
  /** An event of its own with seats 1..count, before an engine can seed the demo. */
  fill(count: number, options?: { cancellable: boolean }): Promise<void>;
  /** Waits until a sink has acknowledged every ledger row. */
  allPublished(deadlineMs: number): Promise<void>;
  /** What must hold of any database that engines have sold from, at any quiet moment. */
  expectSound(): Promise<void>;
}

export async function openFacts(stack: AsyncDisposableStack, databaseUrl: string): Promise<Facts> {
  const client = new Client({ connectionString: databaseUrl });
  client.on("error", () => undefined);
  await client.connect();
  stack.defer(() => client.end().catch(() => undefined));
  const query = async <Row>(text: string, values: unknown[] = []) =>
    (await client.query(text, values)).rows as Row[];

  return {
    query,
    seats: async () => {
      const rows = await query<SeatRow>(
        `select id::int, seat_number as "seatNumber", status::text, version, reservation_id as "reservationId" from seats`,
      );
      return new Map(rows.map((row) => [row.id, row]));
    },
    ledger: () =>
      query<LedgerRow>(
        `select seat_id::int as "seatId", version, status::text, reservation_id as "reservationId", epoch
         from seat_events order by seat_id, version`,
      ),
    fill: async (count, { cancellable } = { cancellable: false }) => {
      await query(
        `with event as (insert into events (name, currency, cancellable) values ('of a test', 'EUR', $2) returning id)
         insert into seats (event_id, seat_number, price_minor)
         select event.id, 'S-' || number, 15000 from event, generate_series(1, $1::int) as number order by number`,
        [count, cancellable],
      );
    },
    allPublished: async (deadlineMs) => {
      await untilWithin(deadlineMs, "every ledger row is published", async () => {
        const [found] = await query<{ done: boolean }>(
          `select exists (
               select from ledger_cursors c where not exists (
                 select from seat_events e where (e.epoch, e.txid, e.id) > (c.epoch, c.txid, c.id))
             ) as done`,
        );
        return found?.done;
      });
    },
    expectSound: () => expectSound(databaseUrl),
  };
}
