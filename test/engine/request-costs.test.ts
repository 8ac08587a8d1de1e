import { beforeAll, describe, expect, test } from "bun:test";
import { useStack } from "../fixtures/stack.ts";
import type { Engine } from "./engines.ts";
import {
  expectProblem,
  type Headed,
  type OnSale,
  openTheatre,
  type Theatre,
  type Till,
  tillAt,
} from "./reservations.ts";

/** 20 blocks of 50 rows of 50; each first seat of a row is accessible. */
const SECTIONS = 20;
const ROWS = 50;
const SEATS_PER_ROW = 50;
const ATTACKERS = 16;
const ATTACK_MS = 2000;

const stack = useStack();
let theatre: Theatre;
let engine: Engine;
let till: Till;
let arena: OnSale;
/** Ledger rows beyond what anybody but a seller may have looked through. */
let restless: OnSale;

beforeAll(async () => {
  theatre = await openTheatre(stack);
  arena = await theatre.addEvent({ rows: 1, more: { sections: arenaSections() } });
  restless = await theatre.addEvent({ rows: 100, seatsPerRow: 100 });
  // All accessible seats are sold, and of all others every twelfth: 20 side by side are nowhere.
  const reservationId = Bun.randomUUIDv7();
  await theatre.facts.query(
    `with sold as (
       update seats set status = 'reserved', version = 1, reservation_id = $1
         where event_id = $2 and (accessible or id % 12 = 0)
       returning id, event_id
     ) insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
       select 1, id, 1, event_id, 'RESERVED', $1 from sold`,
    [reservationId, arena.eventId],
  );
  await theatre.facts.query(
    `insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
     select 1, id, v, event_id, (case v % 2 when 1 then 'HELD' else 'RELEASED' end)::ledger_status, $1
     from seats cross join generate_series(1, 10) as v where event_id = $2`,
    [reservationId, restless.eventId],
  );
  await theatre.facts.query("update seats set version = 10 where event_id = $1", [restless.eventId]);
  await theatre.facts.query("analyze");
  engine = await theatre.openEngine({
    TRUSTED_PROXY_COUNT: "1",
    RATE_LIMIT_ADDRESS_REQUESTS: "1000",
    RATE_LIMIT_WINDOW_SECONDS: "600",
  });
  till = tillAt(engine.url);
});

const names = Array.from({ length: SECTIONS }, (_, place) => `Block ${place + 1}`);

const arenaSections = () =>
  names.map((name) => ({
    name,
    layout: {
      ...{ kind: "assigned" as const, priceTier: 0, x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
      rows: Array.from({ length: ROWS }, (_, row) => ({ label: `${row + 1}`, seatCount: SEATS_PER_ROW })),
      numbering: { perRow: true, start: 1, step: 1, prefix: "" },
      areas: [{ fromRow: 0, toRow: ROWS - 1, fromSeat: 0, toSeat: 0, accessible: true }],
    },
  }));

/** Each preference leaves out another section: no two ask for the same. */
const insatiable = () => ({
  eventId: arena.eventId,
  preferences: names.slice(0, 10).map((without, place) => ({
    bestAvailable: {
      ...(place < 5 ? { quantity: 2, accessible: "only" } : { quantity: 20, adjacency: "required" }),
      sections: names.filter((name) => name !== without),
    },
  })),
});

let lastAddress = 0;
/** A client that has sent nothing yet. */
const newcomer = (): Headed => ({ "x-forwarded-for": `198.51.100.${++lastAddress}` });

const remainingOf = (headers: Headers) => Number(/r=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1]);

describe("a search that cannot be met", () => {
  test("is refused, and counts for what it costs", async () => {
    const answer = await till.hold(insatiable(), newcomer());
    expect(["409 no-seats-left", "422 request-too-costly"]).toContain(
      `${answer.status} ${answer.body.type.replace("urn:sentinel:problem:", "")}`,
    );
    // 50,000 looks at seats are a unit beside the request's own, and five times this house was looked through.
    expect(remainingOf(answer.headers)).toBeWithin(985, 996);
  });

  test("keeps nobody from reading, replaying or buying, though 16 send it without pause", async () => {
    const before = await seatsRead();
    let isOver = false;
    const attack = Array.from({ length: ATTACKERS }, async () => {
      const statuses = [];
      while (!isOver) statuses.push((await till.hold(insatiable(), newcomer())).status);
      return statuses;
    });
    const key = { "idempotency-key": crypto.randomUUID(), ...newcomer() };
    const seatIds = (await seatsOf("Block 1")).slice(1, 5);
    const bought = await till.hold({ seatIds }, key);
    expect(bought.status).toBe(201);
    const statuses = { reads: [] as number[], replays: [] as number[], maps: [] as number[] };
    const waits: number[] = [];
    const endsAt = performance.now() + ATTACK_MS;
    const buyer = newcomer();
    while (performance.now() < endsAt) {
      const startedAt = performance.now();
      statuses.reads.push((await till.send("GET", `/api/v1/seats/${seatIds[0]}`, { headers: buyer })).status);
      waits.push(performance.now() - startedAt);
      statuses.replays.push((await till.hold({ seatIds }, key)).status);
      statuses.maps.push(
        (await till.send("GET", `/api/v1/events/${arena.eventId}/map`, { headers: buyer })).status,
      );
    }
    isOver = true;
    const told = (await Promise.all(attack)).flat();
    const of = (list: number[]) => [...new Set(list)];
    expect({ reads: of(statuses.reads), replays: of(statuses.replays), maps: of(statuses.maps) }).toEqual({
      ...{ reads: [200], replays: [201], maps: [200] },
    });
    expect(of(told).filter((status) => ![409, 422, 429, 503].includes(status))).toEqual([]);
    // Searches read what has changed, not the house again and again; that memory was filled may be counted late.
    expect((await seatsRead()) - before).toBeLessThan(8 * SECTIONS * ROWS * SEATS_PER_ROW);
    console.log(
      `request-costs.test.ts: ${told.length} searches, ${waits.length} reads, slowest ${Math.round(Math.max(...waits))} ms`,
    );
  });

  test("for seats that the house does not have at all asks the database nothing", async () => {
    const answer = await till.hold(
      { eventId: restless.eventId, bestAvailable: { quantity: 1, accessible: "only" } },
      newcomer(),
    );
    expectProblem(answer, 409, "no-seats-left");
    expect(remainingOf(answer.headers)).toBe(999);
  });

  test("is met when somebody else's seat has become free, no matter who freed it", async () => {
    const wanted = { eventId: arena.eventId, bestAvailable: { quantity: 1, accessible: "only" } };
    expectProblem(await till.hold(wanted, newcomer()), 409, "no-seats-left");
    // As another process does it: this one hears of it by its look at the ledger only.
    const [freed] = await theatre.facts.query<{ id: string }>(
      `with freed as (
         update seats set status = 'available', version = 2, reservation_id = null,
           last_txid = pg_current_xact_id(), last_epoch = (select max(epoch) from ledger_epochs)
         where id = (select min(id) from seats where event_id = $1 and accessible) returning id, event_id
       ) insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
         select (select max(epoch) from ledger_epochs), id, 2, event_id, 'CANCELLED', gen_random_uuid() from freed
         returning seat_id as id`,
      [arena.eventId],
    );
    const answer = await till.hold(wanted, newcomer());
    expect([answer.status, answer.body.seats?.map(({ seatId }) => String(seatId))]).toEqual([
      201,
      [freed?.id ?? ""],
    ]);
  });
});

describe("a look into the past of an event that has changed often", () => {
  const path = () => `/api/v1/events/${restless.eventId}/map?at=${new Date().toISOString()}`;

  test("is for sellers only", async () => {
    expectProblem(await till.send("GET", path(), { headers: newcomer() }), 422, "request-too-costly");
    const seller = await theatre.key("seller");
    expect((await till.send("GET", path(), { headers: seller })).status).toBe(200);
  });
});

describe("a request that costs more than others", () => {
  test("leaves less of the rate limit, and none once that is used up", async () => {
    const client = newcomer();
    // Nobody has held any of these.
    const costly = "/api/v1/seats?status=held&after=1000&limit=1";
    const first = await till.send("GET", costly, { headers: client });
    expect(remainingOf(first.headers)).toBeWithin(988, 992);
    // One after the other: a request that is refused because too many are reading costs nothing.
    let answer = first;
    for (let sent = 0; sent < 110 && answer.status === 200; sent++)
      answer = await till.send("GET", costly, { headers: client });
    expect(expectProblem(answer, 429, "rate-limited").detail).toContain("1000 requests in 600 s");
  });
});

/** Rows of seats that Postgres has read for anybody, as far as its statistics know by now. */
async function seatsRead(): Promise<number> {
  const [row] = await theatre.facts.query<{ rows: number }>(
    "select (seq_tup_read + idx_tup_fetch)::float8 as rows from pg_stat_user_tables where relname = 'seats'",
  );
  return row?.rows ?? 0;
}

async function seatsOf(section: string): Promise<number[]> {
  const rows = await theatre.facts.query<{ id: number }>(
    `select id::int from seats where section_id = (
       select id from sections where event_id = $1 and name = $2) order by id`,
    [arena.eventId, section],
  );
  return rows.map(({ id }) => id);
}
