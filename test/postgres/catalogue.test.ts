import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { CatalogueKeeper } from "../../src/catalogue/keeper.ts";
import { adminSessions } from "../../src/postgres/admin-session.ts";
import { readCatalogue, readPulse } from "../../src/postgres/catalogue.ts";
import { openSession, type Session } from "../../src/postgres/connect.ts";
import { ADVISORY_LOCKS } from "../../src/postgres/epoch.ts";
import { createEvent, underCatalogueLock, updateEvent } from "../../src/postgres/event-writes.ts";
import type { EventDraft } from "../../src/venue/catalogue.ts";
import { SeatMemory } from "../../src/venue/seat-memory.ts";
import { createDatabase } from "../fixtures/postgres.ts";
import { until } from "../fixtures/until.ts";
import { only } from "./sale.ts";

const changeEvent = <Refusal extends object>(
  session: NodePgDatabase,
  eventId: number,
  options: Parameters<typeof updateEvent<Refusal>>[2],
) => underCatalogueLock(session, (tx) => updateEvent(tx, eventId, options));

const CONNECT_TIMEOUT_MS = 5000;

let databaseUrl: string;
let client: pg.Client;
let session: Session;
const closes: (() => Promise<unknown>)[] = [];

const open = async () => {
  const opened = await openSession(
    { databaseUrl, name: "test", connectTimeoutMs: CONNECT_TIMEOUT_MS, statementTimeoutMs: 10_000 },
    () => undefined,
  );
  closes.push(() => opened.$client.end());
  return opened;
};

beforeEach(async () => {
  const database = await createDatabase();
  closes.push(database.drop);
  databaseUrl = database.url;
  session = await open();
  client = session.$client;
});
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

const draft = (change: Partial<EventDraft> = {}): EventDraft => ({
  ...{
    name: "An event",
    currency: "EUR",
    cancellable: true,
    status: "open",
    onSaleAtMs: null,
    offSaleAtMs: null,
  },
  ...{ holdTtlSeconds: 600, holdLimitSeconds: 1800, reservationLimitSeats: 20, buyerLimitSeats: null },
  ...{ focalX: 0.1, focalY: null, priceTiers: [{ name: "One", amountMinor: 100 }] },
  sections: [
    { name: "First", layout: { kind: "general", capacity: 3, priceTier: 0 } },
    { name: "Second", layout: { kind: "general", capacity: 2, priceTier: 0 } },
  ],
  ...change,
});

const seatIds = async (eventId: number) =>
  (await client.query("select id::int from seats where event_id = $1 order by id", [eventId])).rows.map(
    ({ id }) => id,
  );

describe("an event that is made", () => {
  test("is read as it was described, its sections with the ranges of their seats", async () => {
    const made = await createEvent(session, draft({ onSaleAtMs: 1_800_000_000_000 }));
    const { events, sections } = await readCatalogue(session);
    expect(events).toEqual([made]);
    const { sections: _, ...described } = draft({ onSaleAtMs: 1_800_000_000_000 });
    expect(made).toMatchObject(described);
    expect(sections).toEqual([
      {
        id: 1,
        eventId: made.id,
        name: "First",
        firstSeatId: 1,
        seatCount: 3,
        layout: { kind: "general", capacity: 3, priceTier: 0 },
      },
      {
        id: 2,
        eventId: made.id,
        name: "Second",
        firstSeatId: 4,
        seatCount: 2,
        layout: { kind: "general", capacity: 2, priceTier: 0 },
      },
    ]);
    expect(await seatIds(made.id)).toEqual([1, 2, 3, 4, 5]);
  });

  test("takes ids behind all that there are, also those that were not given by the sequence", async () => {
    await client.query("insert into seats (id, event_id, price_minor) values (70, 99, 1)");
    const made = await createEvent(session, draft());
    expect(await seatIds(made.id)).toEqual([71, 72, 73, 74, 75]);
    const { rows } = await client.query(
      "insert into seats (event_id, price_minor) values (99, 1) returning id::int",
    );
    expect(rows).toEqual([{ id: 76 }]);
  });

  test("is not there at all when a part of it cannot be made", async () => {
    const [section] = draft().sections;
    const twice = draft({ sections: section ? [section, section] : [] });
    await expect(createEvent(session, twice)).rejects.toThrow();
    expect(await readCatalogue(session)).toEqual({ events: [], sections: [] });
    expect(only((await client.query("select count(*)::int as seats from seats")).rows)).toEqual({ seats: 0 });
  });

  test("waits for another that is being made, so that their ids do not mix", async () => {
    const { $client: other } = await open();
    await other.query("begin");
    await other.query("select pg_advisory_xact_lock($1)", [ADVISORY_LOCKS.catalogue]);
    const making = createEvent(session, draft());
    const { $client: watcher } = await open();
    await until(
      "the second one waits",
      async () =>
        (await watcher.query("select from pg_locks where locktype = 'advisory' and not granted")).rowCount,
    );
    expect(only((await watcher.query("select last_value::int, is_called from seats_id_seq")).rows)).toEqual({
      last_value: 1,
      is_called: false,
    });
    await other.query("commit");
    expect(await seatIds((await making).id)).toHaveLength(5);
  });
});

describe("an event that is changed", () => {
  const none = { refuse: () => undefined };

  test("has a newer revision, by which others know of it, and the rest of it stays", async () => {
    const [one, other] = [await createEvent(session, draft()), await createEvent(session, draft())];
    expect((await readPulse(session)).catalogueRevision).toBe(other.revision);
    const changed = await changeEvent(session, one.id, {
      change: { name: "New", offSaleAtMs: 1000 },
      ...none,
    });
    const revision = (await readPulse(session)).catalogueRevision;
    expect(revision).toBeGreaterThan(other.revision);
    expect(changed).toEqual({ event: { ...one, name: "New", offSaleAtMs: 1000, revision } });
    const emptied = await changeEvent(session, one.id, {
      change: { offSaleAtMs: null, focalX: null },
      ...none,
    });
    expect(emptied).toMatchObject({ event: { name: "New", offSaleAtMs: null, focalX: null } });
  });

  test("stays as it is where the change is refused, which sees the whole of it", async () => {
    const before = await createEvent(session, draft());
    const refused = await changeEvent(session, before.id, {
      change: { name: "New" },
      refuse: (event) => ({ seen: event }),
    });
    expect(refused).toEqual({ refusal: { seen: { ...before, name: "New" } } });
    expect((await readCatalogue(session)).events).toEqual([before]);
  });

  test("must be there", async () => {
    expect(await changeEvent(session, 1, { change: { name: "New" }, ...none })).toBeUndefined();
    expect(await readPulse(session)).toMatchObject({ catalogueRevision: -1 });
  });
});

describe("the catalogue in memory", () => {
  test("knows after a refresh what was committed before it, though another was under way", async () => {
    const keeper = new CatalogueKeeper(session, new SeatMemory());
    const { $client: writer } = await open();
    await writer.query("begin");
    await writer.query("lock table sections in access exclusive mode");
    // Has read that there are no events, and waits for the sections.
    const underWay = keeper.refresh();
    await until(
      "the reading waits",
      async () => (await writer.query("select from pg_locks where not granted")).rowCount,
    );
    await writer.query(`
      with event as (insert into events (name, currency) values ('New', 'EUR') returning id)
      insert into sections (event_id, name, kind, first_seat_id, seat_count, layout)
      select id, 'One', 'general', 1, 1, '{"kind":"general","capacity":1,"priceTier":0}' from event`);
    const committed = writer.query("commit");
    await Promise.all([underWay, keeper.refresh(), keeper.refresh(), committed]);
    expect(keeper.catalogue.event(1)?.sections).toHaveLength(1);
  });

  test("reads no section twice, keeps its seating, and remembers the seats of new ones as free", async () => {
    const memory = new SeatMemory();
    const keeper = new CatalogueKeeper(session, memory);
    const one = await createEvent(session, draft());
    await keeper.refresh();
    expect(memory.size).toBe(0);
    const seating = keeper.catalogue.event(one.id)?.sections[0]?.seating;
    const other = await createEvent(session, draft());
    memory.learn(7, 3, "reserved", false);
    await keeper.refresh();
    expect(keeper.catalogue.event(one.id)?.sections[0]?.seating).toBe(seating);
    expect(await seatIds(other.id)).toEqual([6, 7, 8, 9, 10]);
    expect([6, 7, 10].map((seatId) => memory.versionOf(seatId))).toEqual([0, 3, 0]);
  });

  test("believes nothing that it knew once commits may have been lost", async () => {
    const keeper = new CatalogueKeeper(session, new SeatMemory());
    const { id } = await createEvent(session, draft());
    await keeper.refresh();
    await client.query("delete from sections");
    await client.query("update events set name = 'Restored'");
    keeper.forget();
    keeper.noticed(keeper.catalogue.revision);
    await until("it is read again", () => keeper.catalogue.event(id)?.name === "Restored");
    expect(keeper.catalogue.event(id)?.sections).toEqual([]);
  });

  test("finds an event of another process when it is asked for, and says so where there is none", async () => {
    const keeper = new CatalogueKeeper(session, new SeatMemory());
    await keeper.refresh();
    const { id } = await createEvent(await open(), draft());
    expect((await keeper.find(id))?.name).toBe("An event");
    expect(await keeper.find(id + 1)).toBeUndefined();
  });
});

test("an admin's sessions are bounded, and closed when their work is done or has failed", async () => {
  const runAsAdmin = adminSessions({ databaseUrl, connectTimeoutMs: CONNECT_TIMEOUT_MS, connectionLimit: 2 });
  const gate = Promise.withResolvers<void>();
  const running = Array.from({ length: 2 }, () => runAsAdmin(() => gate.promise));
  expect(await runAsAdmin(async () => "one too many")).toBeUndefined();
  gate.resolve();
  await Promise.all(running);
  await expect(runAsAdmin(() => Promise.reject(new Error("failed")))).rejects.toThrow("failed");
  expect(await runAsAdmin(async () => "done")).toEqual({ result: "done" });
  await until(
    "no session of an admin is left",
    async () =>
      (
        await client.query(
          "select from pg_stat_activity where application_name = 'sentinel-admin' and datname = current_database()",
        )
      ).rowCount === 0,
  );
});
