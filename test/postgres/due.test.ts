import { afterEach, describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { readDueHolds, removeOldKeys } from "../../src/postgres/due.ts";
import { age, endHold, taken } from "./reservations.ts";
import { useEvent, useSale } from "./use-sale.ts";

const NO_LIMIT = 1000;
const JITTER_LIMIT_MS = 1000;

const sale = useSale({ staysSound: false });
const { freeSeats, did } = useEvent(sale);
afterEach(async () => void (await sale.rows("delete from reservations")));

const hold = async (reservationId = Bun.randomUUIDv7(), isHold = true) =>
  taken(sale, await freeSeats(1), { reservationId, isHold });

/** An id with these last digits, by which its hold is due that many ms after its end. */
const idDueAfter = (ms: number) => `${Bun.randomUUIDv7().slice(0, -4)}${ms.toString(16).padStart(4, "0")}`;

/** What is due when so much has passed since these holds ended, in one moment that stands still. */
async function dueAfter(reservationIds: string[], ms: number, limit = NO_LIMIT): Promise<string[]> {
  const session = await sale.session();
  await session.query("begin");
  await session.query(
    "update reservations set expires_at = now() - $2::int * interval '1 ms' where id = any($1::uuid[])",
    [reservationIds, ms],
  );
  const due = await readDueHolds(drizzle(session), limit);
  await session.query("rollback");
  return due;
}

describe("a hold is due", () => {
  test("once it is over; whatever is not over, or no hold any more, never is", async () => {
    const [over, lasting, confirmed, released, swept] = [
      ...[await hold(), await hold(), await hold(undefined, false), await hold(), await hold()],
    ];
    const session = await sale.session();
    await did(released as string, "release");
    await age(sale, swept as string);
    await did(swept as string, "expire");
    for (const id of [over, confirmed, released] as string[]) await age(sale, id);
    expect(lasting).toBeDefined();
    expect(await readDueHolds(drizzle(session), NO_LIMIT)).toEqual([over as string]);
  });

  test("at a moment of its own within a second after its end, which its id decides", async () => {
    const ids = await Promise.all([0, 1, 500, 999].map((ms) => hold(idDueAfter(ms))));
    expect(await dueAfter(ids, 0)).toEqual(ids.slice(0, 1));
    expect((await dueAfter(ids, 1)).toSorted()).toEqual(ids.slice(0, 2).toSorted());
    expect((await dueAfter(ids, 499)).toSorted()).toEqual(ids.slice(0, 2).toSorted());
    expect((await dueAfter(ids, 500)).toSorted()).toEqual(ids.slice(0, 3).toSorted());
    expect((await dueAfter(ids, 999)).toSorted()).toEqual(ids.toSorted());
  });

  test("so that holds of one instant are spread over the second, and all are due after it", async () => {
    const ids = await Promise.all(Array.from({ length: 60 }, () => hold()));
    const counts = [];
    for (const ms of [250, 500, 750]) counts.push((await dueAfter(ids, ms)).length);
    const [quarter = 0, half = 0, threeQuarters = 0] = counts;
    expect(quarter).toBeWithin(1, half);
    expect(threeQuarters).toBeWithin(half + 1, ids.length);
    expect(await dueAfter(ids, JITTER_LIMIT_MS)).toHaveLength(ids.length);
  });

  test("and the oldest come first, no more of them than are asked for", async () => {
    const ids = [await hold(), await hold(), await hold()];
    for (const [index, id] of ids.entries()) {
      await endHold(sale, id);
      await age(sale, id, `${ids.length - index} hours`);
    }
    const session = drizzle(await sale.session());
    expect(await readDueHolds(session, NO_LIMIT)).toEqual(ids);
    expect(await readDueHolds(session, 2)).toEqual(ids.slice(0, 2));
  });
});

describe("keys that no longer count", () => {
  const addKeys = (count: number, age: string) =>
    sale.rows(
      `insert into idempotency_keys (scope, key, fingerprint, created_at)
       select $2::text, gen_random_uuid()::text, 'a', now() - $2::text::interval from generate_series(1, $1::int)`,
      [count, age],
    );
  const left = async () =>
    (await sale.rows<{ scope: string }>("select scope from idempotency_keys order by created_at")).map(
      ({ scope }) => scope,
    );

  test("are removed, the oldest first, no more at once than asked for, and no others", async () => {
    await addKeys(2, "26 hours");
    await addKeys(2, "25 hours");
    await addKeys(1, "23 hours 59 minutes");
    const session = drizzle(await sale.session());
    await removeOldKeys(session, 3);
    expect(await left()).toEqual(["25 hours", "23 hours 59 minutes"]);
    await removeOldKeys(session, 3);
    expect(await left()).toEqual(["23 hours 59 minutes"]);
  });
});
