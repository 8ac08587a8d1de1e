import { beforeAll, expect, test } from "bun:test";
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import type { Engine } from "./engines.ts";
import { type Facts, openFacts } from "./facts.ts";
import { newKey, type OnSale, openTheatre, type Theatre, type Till, tillAt } from "./reservations.ts";
import { readMetrics } from "./scraped-metrics.ts";

const SWEEPER_LOCK = 7_310_005;
/** As many seats as one round of the sweeper takes. */
const ROUND_SEATS = 2000;
const SEATS_OF_EACH = 20;
const OTHERS = 5;

const stack = useStack();
let theatre: Theatre;
let engine: Engine;
let till: Till;
let house: OnSale;
/** Sessions of the test's own, which sweep or keep a lock until they are let go. */
let leader: Facts;
let locker: Facts;

beforeAll(async () => {
  theatre = await openTheatre(stack);
  house = await theatre.addEvent({ rows: 110, seatsPerRow: 20, more: { holdTtlSeconds: 600 } });
  leader = await openFacts(stack, theatre.databaseUrl);
  locker = await openFacts(stack, theatre.databaseUrl);
  await leader.query("select pg_advisory_lock($1)", [SWEEPER_LOCK]);
  engine = await theatre.openEngine();
  till = tillAt(engine.url);
});

async function holdInTurn(seatIds: number[]): Promise<string> {
  const { status, body } = await till.hold({ seatIds }, newKey());
  expect(status).toBe(201);
  return body.reservationId;
}

/** Their holds ended so long ago. */
async function end(reservationIds: string[], secondsAgo: number): Promise<void> {
  await theatre.facts.query(
    `with moment as materialized (select now() - $2 * interval '1 second' as ended),
       held as (update reservations set expires_at = ended from moment where id = any($1))
     update seats set hold_expires_at = ended from moment where reservation_id = any($1)`,
    [reservationIds, secondsAgo],
  );
}

const statusesOf = async (reservationIds: string[]) =>
  (
    await theatre.facts.query<{ status: string }>(
      "select distinct status::text as status from reservations where id = any($1)",
      [reservationIds],
    )
  ).map(({ status }) => status);

const areSwept = (reservationIds: string[], what: string) =>
  until(what, async () => Bun.deepEquals(await statusesOf(reservationIds), ["expired"]));

test("holds whose rows somebody has locked keep no others from being swept, and are counted as overdue", async () => {
  const locked: string[] = [];
  for (let first = 0; first < ROUND_SEATS; first += SEATS_OF_EACH) {
    locked.push(await holdInTurn(house.seats.slice(first, first + SEATS_OF_EACH)));
  }
  const others: string[] = [];
  for (let place = 0; place < OTHERS; place++) {
    others.push(await holdInTurn([house.seats[ROUND_SEATS + place] ?? 0]));
  }
  await end(locked, 60);
  await end(others, 10);
  await locker.query("begin");
  await locker.query("select from seats where reservation_id = any($1) for update", [locked]);
  await leader.query("select pg_advisory_unlock($1)", [SWEEPER_LOCK]);

  await areSwept(others, "the holds that nobody has locked are swept");
  expect(await statusesOf(locked)).toEqual(["held"]);
  const metrics = await until("the metrics show how many holds are overdue", async () => {
    const read = await readMetrics(engine.url);
    return read.value("sentinel_overdue_holds") === locked.length && read;
  });
  expect(metrics.value("sentinel_overdue_hold_seconds")).toBeWithin(60, 120);

  await locker.query("rollback");
  await areSwept(locked, "those are swept too once they are not locked any more");
  await until(
    "none is overdue",
    async () => (await readMetrics(engine.url)).value("sentinel_overdue_holds") === 0,
  );
  await theatre.expectSound();
});

test("one hold that cannot be ended keeps no others from being swept", async () => {
  const [spoilt = "", ...others] = await Promise.all(
    house.seats.slice(-4).map((seatId) => holdInTurn([seatId])),
  );
  // As damage would have it: the statement fails whenever this hold is in it.
  await theatre.facts.query(
    `create function spoil() returns trigger language plpgsql as
     $$ begin raise exception 'spoilt' using errcode = 'data_exception'; end $$`,
  );
  await theatre.facts.query(
    `create trigger spoil before insert on seat_events for each row
     when (new.reservation_id = '${spoilt}') execute function spoil()`,
  );
  await end([spoilt], 60);
  await end(others, 10);
  await areSwept(others, "the holds that nothing is wrong with are swept");
  expect(await statusesOf([spoilt])).toEqual(["held"]);
  await theatre.facts.query("drop trigger spoil on seat_events");
  await areSwept([spoilt], "so is the other once it can be ended");
  await theatre.expectSound();
});
