import type pg from "pg";
import { openPool } from "../../src/postgres/connect.ts";
import { commitReservations, type SeatOrder, type SeatRow } from "../../src/postgres/reserve.ts";
import { createDatabase } from "../fixtures/postgres.ts";

const STATEMENT_TIMEOUT_MS = 1500;
const CONNECTION_LIMIT = 12;

interface SeatState {
  status: string;
  version: number;
  reservationId: string | null;
}

/** A migrated database of its own with two events on sale, and sessions set up as the engine's are. */
export interface Sale {
  url: string;
  pool: pg.Pool;
  /** New free seats of the event that takes nothing back, or of the one that cancels. */
  addSeats(count: number, event?: "final" | "cancellable"): Promise<number[]>;
  addSeat(event?: "final" | "cancellable"): Promise<number>;
  /** A session that the test has for itself, until `endSessions`. */
  session(): Promise<pg.PoolClient>;
  /** For `afterEach`: whatever a test left open is rolled back. */
  endSessions(): Promise<void>;
  rows<Row extends object>(statement: string, parameters?: unknown[]): Promise<Row[]>;
  seat(seatId: number): Promise<SeatState>;
  /** The seat's ledger, oldest version first. */
  ledger(seatId: number): Promise<LedgerEntry[]>;
  close(): Promise<void>;
}

interface LedgerEntry {
  epoch: number;
  txid: string;
  version: number;
  status: string;
  reservationId: string;
  replaces: string | null;
}

const EVENTS = { final: 1, cancellable: 2 };

export async function openSale(): Promise<Sale> {
  const database = await createDatabase();
  const pool = openPool(
    {
      databaseUrl: database.url,
      name: "test-sale",
      connectionLimit: CONNECTION_LIMIT,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      connectTimeoutMs: 5000,
    },
    () => undefined,
  );
  const lent: pg.PoolClient[] = [];
  const endSessions = async () => {
    for (const client of lent.splice(0)) {
      await client.query("rollback").then(
        () => client.release(),
        () => client.release(true),
      );
    }
  };
  const rows = async <Row extends object>(statement: string, parameters: unknown[] = []): Promise<Row[]> =>
    (await pool.query(statement, parameters)).rows;
  await rows(
    "insert into events (id, name, currency, cancellable) values (1, 'final', 'EUR', false), (2, 'cancellable', 'EUR', true)",
  );
  const addSeats: Sale["addSeats"] = async (count, event = "final") => {
    const added = await rows<{ id: string }>(
      `insert into seats (event_id, seat_number, price_minor)
       select $1, gen_random_uuid()::text, 15000 from generate_series(1, $2::int) returning id`,
      [EVENTS[event], count],
    );
    return added.map(({ id }) => Number(id)).sort((one, other) => one - other);
  };
  return {
    url: database.url,
    pool,
    addSeats,
    addSeat: async (event) => only(await addSeats(1, event)),
    session: async () => {
      const client = await pool.connect();
      // Terminating this backend shows in the statement that fails.
      if (client.listenerCount("error") === 0) client.on("error", () => undefined);
      lent.push(client);
      return client;
    },
    endSessions,
    rows,
    seat: async (seatId) =>
      only(
        await rows<SeatState>(
          `select status::text, version, reservation_id as "reservationId" from seats where id = $1`,
          [seatId],
        ),
      ),
    ledger: (seatId) =>
      rows(
        `select epoch, txid::text, version, status::text, reservation_id as "reservationId",
                replaces_reservation_id as replaces
         from seat_events where seat_id = $1 order by version`,
        [seatId],
      ),
    close: async () => {
      await endSessions();
      await pool.end();
      await database.drop();
    },
  };
}

/** Asks for one seat at the version that the caller has seen. */
export async function reserveOne(
  session: pg.PoolClient,
  seatId: number,
  version: number,
  reservationId: string = Bun.randomUUIDv7(),
): Promise<SeatRow & { reservationId: string }> {
  const answers = await commitReservations(session, [reserveOf(seatId, version, reservationId)]);
  return { ...only(only(answers)), reservationId };
}

/** An order for one seat, for good. */
export const reserveOf = (
  seatId: number,
  version = 0,
  reservationId: string = Bun.randomUUIDv7(),
): SeatOrder => ({ reservationId, isHold: false, seats: [{ seatId, version }] });

/** The one element there must be. */
export function only<T>(list: readonly T[]): T {
  const [first, ...rest] = list;
  if (first === undefined || rest.length > 0) throw new Error(`one was expected, not ${list.length}`);
  return first;
}
