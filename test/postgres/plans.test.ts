import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { SQL } from "drizzle-orm";
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import { PgDialect } from "drizzle-orm/pg-core";
import { Client, type PoolClient } from "pg";
import { readCatalogue, readPulse } from "../../src/postgres/catalogue.ts";
import { changeStatement, changesWithClaims, plainChanges } from "../../src/postgres/change-statement.ts";
import { readCheckpointsAfter, readWindowsAfter } from "../../src/postgres/checkpoints.ts";
import { openSnapshot } from "../../src/postgres/connect.ts";
import { readDueHolds, readFreed, readOverdueHolds, removeOldKeys } from "../../src/postgres/due.ts";
import { createEvent } from "../../src/postgres/event-writes.ts";
import { countHolds, listCallers, listHolds } from "../../src/postgres/holds.ts";
import { LEDGER_START, readBacklog, readLedger, readWholeLedger } from "../../src/postgres/ledger.ts";
import { readPassedVersions, readRowsOf } from "../../src/postgres/published.ts";
import { findReservation } from "../../src/postgres/reservations.ts";
import {
  capped,
  several,
  singleHolds,
  singles,
  takeStatement,
  withClaims,
  withoutClaims,
} from "../../src/postgres/reserve-statement.ts";
import { readChanges } from "../../src/postgres/seat-changes.ts";
import { readSeatHistory } from "../../src/postgres/seat-history.ts";
import { findSeat, listSeats } from "../../src/postgres/seat-views.ts";
import {
  readChangedSeatsAfter,
  readFreeSeatsAfter,
  readLastSeatId,
  readMoment,
  readSeatChanges,
  readSeatsAfter,
  readSeatsNamed,
} from "../../src/postgres/seats.ts";
import { settle } from "../../src/postgres/settle.ts";
import { lookAtSeats } from "../../src/proof/audit/seat-look.ts";
import { type Explained, explainOn } from "../fixtures/plans.ts";
import { change, changeWithClaims, newKey, takeRows, wishFor } from "./reservations.ts";
import { openSale, type Sale } from "./sale.ts";

/** A house so large that a plan which reads all of it is seen in the rows that it reads. */
const SEATS = 20_000;
/** The most rows that one statement below has to read of one table; each asks for far fewer than a tenth of the house. */
const LIMIT_ROWS = 1000;
const BATCH_SEATS = 8;
const PAGE = 50;
/** Within which a line of one statement is looked for in another. */
const LOOK_AHEAD_LINES = 15;
/** Tables that grow with the house or with what is sold. */
const GROWING = ["seats", "reservations", "seat_events", "idempotency_keys", "ledger_checkpoints"];

interface House {
  sale: Sale;
  session: PoolClient;
  /** As `verify` reads, without the settings of sessions that sell. */
  proof: Client;
  explained: { session(): Explained[]; proof(): Explained[] };
  /** Tables that have too many rows to be read as a whole. */
  large: Set<string>;
  /** The first seat of the event; ids go on from there. */
  firstSeatId: number;
  eventId: number;
}

const houses: House[] = [];
async function openHouse(
  prepare: (sale: Sale) => Promise<{ eventId: number; firstSeatId: number }>,
): Promise<House> {
  const sale = await openSale();
  // A background analyse would make other plans in the middle of a test.
  for (const table of ["seats", "reservations", "seat_events"])
    await sale.rows(`alter table ${table} set (autovacuum_enabled = off)`);
  const prepared = await prepare(sale);
  const session = await sale.session();
  const options = { databaseUrl: sale.url, statementTimeoutMs: 30_000, connectTimeoutMs: 30_000 };
  const { $client: proof } = await openSnapshot({ ...options, name: "plans" }, () => undefined);
  const explained = { session: await explainOn(session), proof: await explainOn(proof) };
  const large = new Set<string>();
  for (const table of GROWING) {
    const [row] = await sale.rows<{ count: number }>(`select count(*)::int as count from ${table}`);
    if ((row?.count ?? 0) > LIMIT_ROWS) large.add(table);
  }
  const house = { ...{ sale, session, proof, explained, large }, ...prepared };
  houses.push(house);
  return house;
}

const nothing = () => Promise.resolve({ eventId: 1, firstSeatId: 1 });

/** Runs a statement over the whole house, which takes longer than sessions that sell may take. */
async function patiently(sale: Sale, run: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: sale.url });
  await client.connect();
  await run(client).finally(() => client.end());
}

async function freshEvent(sale: Sale): Promise<{ eventId: number; firstSeatId: number }> {
  await sale.rows("select setval('events_id_seq', 100)");
  let id = 0;
  await patiently(sale, async (client) => {
    ({ id } = await createEvent(drizzle(client), DRAFT));
  });
  const [seat] = await sale.rows<{ first: string }>(
    "select min(id) as first from seats where event_id = $1",
    [id],
  );
  return { eventId: id, firstSeatId: Number(seat?.first) };
}

/** Every seat is sold but the first few, which are held by people whose time is over, or free. */
async function soldOut(sale: Sale): Promise<{ eventId: number; firstSeatId: number }> {
  const made = await freshEvent(sale);
  await patiently(sale, async (client) => {
    await client.query(
      `with sold as (
         update seats set status = 'reserved', version = 1, reservation_id = gen_random_uuid(), last_epoch = 1, last_txid = pg_current_xact_id()
         where event_id = $1 and id >= $2 returning *
       ), owners as (
         insert into reservations (id, event_id, status, seat_count, seat_ids, prices_minor, buyer_id)
         select reservation_id, event_id, 'confirmed', 1, array[id], array[price_minor], 'buyer ' || id from sold
       )
       insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
       select 1, id, 1, event_id, 'RESERVED', reservation_id from sold`,
      [made.eventId, made.firstSeatId + 2 * PAGE],
    );
    await client.query(
      `insert into ledger_checkpoints (number, epoch, txid, id, row_count, rows_total, digest, row_digests)
       select n, 1, n::text::xid8, n, 1, n, '\\x00', '\\x00' from generate_series(1, $1::int) n`,
      [SEATS],
    );
    await client.query(
      `insert into idempotency_keys (scope, key, fingerprint) select 'client', 'old-' || n, 'a' from generate_series(1, $1::int) n`,
      [SEATS],
    );
    await client.query("vacuum analyze");
  });
  return made;
}

const DRAFT = {
  ...{ name: "large", currency: "EUR", cancellable: true, status: "open" as const },
  ...{ onSaleAtMs: null, offSaleAtMs: null, holdTtlSeconds: 600, holdLimitSeconds: 1800 },
  ...{ reservationLimitSeats: 20, buyerLimitSeats: null, focalX: null, focalY: null },
  priceTiers: [{ name: "Standard", amountMinor: 8900 }],
  sections: [{ name: "Lawn", layout: { kind: "general" as const, capacity: SEATS, priceTier: 0 } }],
};

const seatIdsAt = ({ firstSeatId }: House, place: number) =>
  Array.from({ length: BATCH_SEATS }, (_, index) => firstSeatId + place + index);

type Run = (house: House, database: NodePgDatabase) => Promise<unknown>;

/** The statements that sell seats and change reservations. */
const SALES: Record<string, Run> = {
  "take seats one by one": (house) => takeSingles(house, seatIdsAt(house, 0).slice(0, 2), false),
  "hold seats one by one": (house) => takeSingles(house, seatIdsAt(house, 0).slice(2, 4), true),
  "hold seats": async (house) => takeRows(house.session, [await wishFor(house.sale, seatIdsAt(house, 10))]),
  "hold seats with a key": async (house) =>
    takeRows(house.session, [
      await wishFor(house.sale, seatIdsAt(house, 20), { buyerId: "b", key: newKey() }),
    ]),
  "confirm a hold": async (house) => changeOf(house, 30, (id) => change(house.session, id, "confirm")),
  "release a hold": async (house) => changeOf(house, 40, (id) => change(house.session, id, "release")),
  "confirm a hold with a key": async (house) =>
    changeOf(house, 50, (id) => changeWithClaims(house.session, id, "confirm", newKey())),
  "settle a lost answer": async (house, database) =>
    settle(database, [{ reservationId: Bun.randomUUIDv7(), seatIds: seatIdsAt(house, 60) }]),
};

async function takeSingles(house: House, seatIds: number[], isHold: boolean) {
  const wishes = await Promise.all(seatIds.map((seatId) => wishFor(house.sale, [seatId], { isHold })));
  return takeRows(house.session, wishes);
}

async function changeOf(house: House, place: number, run: (reservationId: string) => Promise<unknown>) {
  const wish = await wishFor(house.sale, seatIdsAt(house, place));
  await takeRows(house.session, [wish]);
  return run(wish.reservationId);
}

/** What runs beside the sale, however much has been sold. */
const READS: Record<string, Run> = {
  "the sweeper's due holds": async (_, database) => {
    await readDueHolds(database, PAGE);
    await readDueHolds(database, PAGE, Bun.randomUUIDv7());
    await readOverdueHolds(database, PAGE);
    await readFreed(database, [Bun.randomUUIDv7()]);
    await removeOldKeys(database, PAGE);
  },
  "the catalogue and its pulse": async (_, database) => {
    await readCatalogue(database);
    await readPulse(database);
    await readLastSeatId(database);
  },
  "pages of seats": async ({ eventId, firstSeatId }, database) => {
    await listSeats(database, { eventId, after: firstSeatId, limit: PAGE });
    await listSeats(database, {
      range: { first: firstSeatId, end: firstSeatId + SEATS },
      after: 0,
      limit: PAGE,
    });
    await findSeat(database, firstSeatId);
    await readSeatsAfter(database, firstSeatId, PAGE, firstSeatId + SEATS);
    await readFreeSeatsAfter(database, [{ first: firstSeatId, last: firstSeatId + PAGE }], 0, PAGE);
    await readSeatsNamed(database, [firstSeatId, firstSeatId + 1]);
    await readSeatHistory(database, firstSeatId, { after: 0, limit: PAGE });
  },
  "news of seats": async (house, database) => {
    const since = await readMoment(database);
    await takeRows(house.session, [await wishFor(house.sale, seatIdsAt(house, 70))]);
    await readSeatChanges(database, since, [house.eventId]);
    await readChangedSeatsAfter(database, since, 0, PAGE);
  },
  "one reservation": async (_, database) => findReservation(database, Bun.randomUUIDv7()),
  "lists of holds": async ({ eventId, firstSeatId }, database) => {
    await listHolds(database, { eventId }, { after: undefined, limit: PAGE });
    await listHolds(
      database,
      { caller: `key:${Bun.randomUUIDv7()}` },
      { after: Bun.randomUUIDv7(), limit: PAGE },
    );
    await countHolds(database, { seats: { first: firstSeatId, end: firstSeatId + PAGE } });
    await listCallers(database, {}, PAGE);
  },
  "the ledger's publishing": async (_, database) => {
    await readLedger(database, LEDGER_START, PAGE);
    await readLedger(database, { epoch: 1, txid: "1", id: "1" }, PAGE);
    await readBacklog(database, { epoch: 1, txid: "99999999", id: "1" });
    await readChanges(database, { epoch: 1, txid: "99999999", id: "1" }, PAGE);
  },
  "the auditor's slice": async ({ firstSeatId }, database) =>
    lookAtSeats(database, { after: firstSeatId + SEATS / 2, limit: PAGE, again: [firstSeatId] }),
};

/** The pages that `verify` reads one after another. */
const PROOF_PAGES: Record<string, Run> = {
  "of the ledger and the chain": async ({ firstSeatId }, database) => {
    await readWholeLedger(database, { epoch: 1, txid: "1", id: "1" }, PAGE);
    await readCheckpointsAfter(database, 10, PAGE);
    await readWindowsAfter(database, 10, PAGE);
    await readRowsOf(database, [{ seatId: firstSeatId, version: 1 }]);
    await readPassedVersions(
      database,
      { epoch: 1, txid: "99999999", id: "1" },
      { after: firstSeatId, limit: PAGE },
    );
  },
};

/**
 * Reads of a table that no index serves, of a whole index of a table that is large already, and of far more rows than are
 * needed. (Of a table that is still small, Postgres rightly reads the whole index; it plans again as the table grows.)
 */
const wasteIn = (explained: Explained[], large: Set<string>) =>
  explained.flatMap(({ text, reads }) =>
    reads
      .filter(({ table }) => GROWING.includes(table))
      .filter(
        ({ node, table, isBounded, isLimited, rows }) =>
          node.startsWith("Seq Scan") || (large.has(table) && !isBounded && !isLimited) || rows > LIMIT_ROWS,
      )
      .map((read) => ({ ...read, statement: text.slice(0, 300) })),
  );

afterAll(async () => {
  for (const { sale, proof } of houses) {
    await proof.end();
    await sale.close();
  }
});

describe.each([
  ["an empty database", nothing],
  ["a database whose event was just created", freshEvent],
  ["a sold-out house", soldOut],
])("in %s no plan reads a whole table or index to", (_name, prepare) => {
  let house: House;
  beforeAll(async () => {
    house = await openHouse(prepare);
  });

  test.each(Object.entries({ ...SALES, ...READS }))("%s", async (_what, run) => {
    house.explained.session();
    await run(house, drizzle(house.session));
    const explained = house.explained.session();
    expect(explained.length).toBeGreaterThan(0);
    expect(wasteIn(explained, house.large)).toEqual([]);
  });

  test.each(Object.entries(PROOF_PAGES))("verify pages %s", async (_what, run) => {
    await run(house, drizzle(house.proof));
    const explained = house.explained.proof();
    expect(explained.length).toBeGreaterThan(0);
    expect(wasteIn(explained, house.large)).toEqual([]);
  });
});

/** The lines in which a text differs from another, after `-` and `+`; between them, how many both have. */
function differences(like: string, text: string): string {
  const rest = like.split("\n");
  const lines = text.split("\n").flatMap((line) => {
    const place = rest.slice(0, LOOK_AHEAD_LINES).indexOf(line);
    if (place === -1) return `+${line}`;
    return [...rest.splice(0, place).map((gone) => `-${gone}`), ...rest.splice(0, 1).map(() => "=")];
  });
  const all = [...lines, ...rest.map((gone) => `-${gone}`)].join("\n");
  return all.replace(/^=(\n=)*$/gm, (shared) => `= ${shared.split("\n").length} lines`);
}

describe("the text of the generated statement to", () => {
  const dialect = new PgDialect();

  const textOf = (statement: SQL) => dialect.sqlToQuery(statement).sql;
  const reserve = takeStatement(singles, withoutClaims);
  const holdOne = takeStatement(singleHolds, withoutClaims);
  const hold = takeStatement(several, withoutClaims);
  const holdWithKeys = takeStatement(several, withClaims);
  const change = changeStatement(plainChanges);

  test.each([
    ["reserve seats one by one", reserve],
    ["change reservations", change],
  ])("%s is the one that was reviewed", (_what, statement) => {
    expect(textOf(statement)).toMatchSnapshot();
  });

  test.each([
    ["hold seats one by one", holdOne, reserve],
    ["hold seats", hold, holdOne],
    ["hold seats with keys and buyers", holdWithKeys, hold],
    ["hold seats of limited callers", takeStatement(several, capped), holdWithKeys],
    ["change reservations with keys and buyers", changeStatement(changesWithClaims), change],
  ])("%s differs from its like as was reviewed", (_what, statement, like) => {
    expect(differences(textOf(like), textOf(statement))).toMatchSnapshot();
  });

  test("read the ledger is the one that was reviewed", async () => {
    const sale = await openSale();
    const queries: string[] = [];
    const database = drizzle(sale.pool, { logger: { logQuery: (query) => queries.push(query) } });
    await readLedger(database, LEDGER_START, 1);
    await sale.close();
    expect(queries).toMatchSnapshot();
  });
});
