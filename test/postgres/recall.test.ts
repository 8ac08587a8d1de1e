import { beforeEach, describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { ChangeAction } from "../../src/postgres/change.ts";
import { recallChanges } from "../../src/postgres/recall.ts";
import { until } from "../fixtures/until.ts";
import { change, changeWithClaims, taken } from "./reservations.ts";
import { only } from "./sale.ts";
import { useEvent, useSale } from "./use-sale.ts";

const sale = useSale();
const { freeSeats, over: overHold } = useEvent(sale);
let session: pg.PoolClient;
beforeEach(async () => {
  session = await sale.session();
});

const newId = (): string => Bun.randomUUIDv7();
const held = async () => taken(sale, await freeSeats(2));
const over = async () => overHold(await freeSeats(2));
const confirmed = async () => {
  const reservationId = await held();
  await change(session, reservationId, "confirm");
  return reservationId;
};
const recall = async (reservationId: string, changeId: string) =>
  only(await recallChanges(drizzle(session), [{ reservationId, changeId }]));
const rowsOf = (reservationId: string) =>
  sale.rows<{ status: string }>(
    "select seat_id, version, status from seat_events where reservation_id = $1 order by 1, 2",
    [reservationId],
  );

/** Each action with a reservation that allows it, and what somebody else does to that reservation next. */
const ACTIONS: [string, ChangeAction, () => Promise<string>, ChangeAction | undefined][] = [
  ["confirm", "confirm", held, "cancel"],
  ["confirm of a hold that is over", "confirm", over, "cancel"],
  ["extend", "extend", held, "confirm"],
  ["extend, extended again", "extend", held, "extend"],
  ["release", "release", held, undefined],
  ["cancel", "cancel", confirmed, undefined],
  ["expire", "expire", over, "confirm"],
];

describe.each(ACTIONS)("a lost answer to %s", (_, action, prepare, next) => {
  test("is found by its id, as it was, after what others have done since", async () => {
    const [reservationId, changeId] = [await prepare(), newId()];
    const done = await change(session, reservationId, action, changeId);
    expect(done.verdict).toBe("done");
    if (next) expect((await change(session, reservationId, next)).verdict).toBe("done");
    const recalled = await recall(reservationId, changeId);
    expect(recalled).toMatchObject({ kind: "done", final: false });
    if (recalled.kind !== "done") return;
    expect(recalled.seats.sort()).toEqual(done.seats.sort());
    if (done.facts) expect(recalled.facts).toEqual(done.facts);
  });

  test("that is not found can never be done: what arrives late changes nothing", async () => {
    const [reservationId, changeId] = [await prepare(), newId()];
    expect(await recall(reservationId, changeId)).toEqual({ kind: "never" });
    const before = await rowsOf(reservationId);
    expect((await change(session, reservationId, action, changeId)).verdict).toBe("again");
    expect(await rowsOf(reservationId)).toEqual(before);
    expect((await change(session, reservationId, action)).verdict).toBe("done");
  });

  test("is running while it holds the reservation's row, and is found when it has committed", async () => {
    const [reservationId, changeId] = [await prepare(), newId()];
    const other = await sale.session();
    await other.query("begin");
    expect((await change(other, reservationId, action, changeId)).verdict).toBe("done");
    expect(await recall(reservationId, changeId)).toEqual({ kind: "running" });
    await other.query("commit");
    expect((await recall(reservationId, changeId)).kind).toBe("done");
  });
});

test("an attempt that began before it was looked up, and reaches its row afterwards, changes nothing", async () => {
  const [reservationId, changeId] = [await held(), newId()];
  const other = await sale.session();
  // The statement reads its event before it locks the reservation: there it waits, with a snapshot older than the fence.
  await sale.rows(`
    alter table events rename to all_events;
    create function wait_for_recall() returns boolean language plpgsql volatile as $$
      begin perform pg_advisory_xact_lock(4711); return true; end $$;
    create view events as select * from all_events where wait_for_recall()`);
  try {
    await session.query("select pg_advisory_lock(4711)");
    const late = change(other, reservationId, "extend", changeId);
    await until(
      "the attempt has begun",
      async () => (await sale.rows("select from pg_locks where objid = 4711 and not granted")).length > 0,
    );
    expect(await recall(reservationId, changeId)).toEqual({ kind: "never" });
    await session.query("select pg_advisory_unlock(4711)");
    expect((await late).verdict).toBe("again");
  } finally {
    await sale.rows("drop view events; alter table all_events rename to events");
  }
  expect((await rowsOf(reservationId)).map(({ status }) => status)).toEqual(["HELD", "HELD"]);
});

test("several attempts are looked up together, also of one reservation and of one that there is not", async () => {
  const [one, two, three, none] = [await held(), await held(), await held(), newId()];
  const ids = [newId(), newId(), newId(), newId(), newId()] as const;
  await change(session, one, "extend", ids[0]);
  const other = await sale.session();
  await other.query("begin");
  await other.query("select from reservations where id = $1 for no key update", [three]);
  const recalled = await recallChanges(
    drizzle(session),
    [one, one, two, three, none].map((reservationId, index) => ({
      reservationId,
      changeId: ids[index] ?? "",
    })),
  );
  expect(recalled.map(({ kind }) => kind)).toEqual(["done", "never", "never", "running", "never"]);
});

test("a reservation keeps its newest fences, and no more than 64", async () => {
  const reservationId = await held();
  const ids = Array.from({ length: 70 }, newId);
  for (const id of ids) await recall(reservationId, id);
  const [{ fenced } = { fenced: [] }] = await sale.rows<{ fenced: string[] }>(
    "select fenced_change_ids as fenced from reservations where id = $1",
    [reservationId],
  );
  expect(fenced).toEqual(ids.toReversed().slice(0, 64));
  expect(await changeWithClaims(session, reservationId, "extend")).toMatchObject({ verdict: "done" });
});
