import { describe, expect, spyOn, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import type { Drift } from "../../src/proof/audit/open-findings.ts";
import { SeatAudit } from "../../src/proof/audit/seat-audit.ts";
import { SeatMemory } from "../../src/venue/seat-memory.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { change, taken } from "../postgres/reservations.ts";
import { openSale, reserveOne } from "../postgres/sale.ts";
import { keep } from "./damage.ts";

const sale = useOpened(openSale);

/** An auditor whose slices are so large that each round sees every seat. */
function openAudit({ memory = new SeatMemory(), sliceSeats = 1000 } = {}) {
  const database = drizzle(sale.pool);
  const audit = new SeatAudit(database, memory, sliceSeats);
  return { memory, database, look: () => audit.look() };
}

const toldOf = (seatId: number, found: Drift[]) =>
  found.filter((finding) => finding.seatId === seatId).map(({ what }) => what);

/** A seat that was held, confirmed, cancelled, and is reserved now, at version 4. */
async function soldTwice(): Promise<number> {
  const seatId = await sale.addSeat("cancellable");
  const session = await sale.pool.connect();
  const first = await taken(sale, [seatId]);
  for (const action of ["confirm", "cancel"] as const) await change(session, first, action);
  session.release();
  await taken(sale, [seatId], { isHold: false });
  return seatId;
}

describe("a seat whose row and ledger agree", () => {
  test("is not found, whatever has become of it", async () => {
    const [, held = 0, reserved = 0, released = 0, extended = 0] = await sale.addSeats(5, "cancellable");
    const session = await sale.pool.connect();
    await taken(sale, [held]);
    await taken(sale, [reserved], { isHold: false });
    await change(session, await taken(sale, [released]), "release");
    await sale.rows("update events set hold_ttl_seconds = 700 where id = 2");
    await change(session, await taken(sale, [extended]), "extend");
    session.release();
    await soldTwice();
    const { look } = openAudit();
    const { seats } = await look();
    expect(seats.found).toEqual([]);
    expect(seats.lookedAt).toBeGreaterThanOrEqual(6);
  });
});

describe("a contradiction in the database is found and named, and gone when it is mended:", () => {
  test.each([
    [
      "a row set free by hand",
      "update seats set status = 'available', reservation_id = null where id = $1",
      /^the seat's status is not that of its last ledger row: available after RESERVED; the seat's owner is not .+: nobody instead of [0-9a-f-]{36}$/,
    ],
    [
      "a version raised by hand",
      "update seats set version = 5 where id = $1",
      /^the ledger ends before the seat does: the seat is at version 5, and this version has no row$/,
    ],
    [
      "the newest ledger row deleted",
      "delete from seat_events where seat_id = $1 and version = 4",
      /^the ledger ends before the seat does: the seat is at version 4, and this version has no row$/,
    ],
    [
      "an older ledger row deleted",
      "delete from seat_events where seat_id = $1 and version = 2",
      /^a version has no ledger row: the next row is of version 3$/,
    ],
    [
      "a ledger row too many",
      `insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
       select epoch, seat_id, 5, event_id, 'CANCELLED', reservation_id from seat_events where seat_id = $1 and version = 4`,
      /^the seat is behind its ledger: the ledger ends at version 5$/,
    ],
    [
      "another status in the ledger",
      "update seat_events set status = 'HELD' where seat_id = $1 and version = 4",
      /^the seat's status is not that of its last ledger row: reserved after HELD$/,
    ],
    [
      "another owner",
      "update seats set reservation_id = (select reservation_id from seat_events where seat_id = $1 and version = 1) where id = $1",
      /^the seat's owner is not .+: [0-9a-f-]{36} instead of [0-9a-f-]{36}; the seat's reservation has another status: the seat is reserved, its reservation is cancelled$/,
    ],
    [
      "a last transaction from the future, which would let nobody have the seat",
      "update seats set last_txid = '99999999999' where id = $1",
      /^the seat was changed last by another transaction .+: 99999999999 of epoch 1 instead of \d+ of epoch 1$/,
    ],
    [
      "its reservation deleted",
      "delete from reservations where id = (select reservation_id from seats where id = $1)",
      /^the seat's reservation has another status: the seat is reserved, its reservation is missing$/,
    ],
  ])("%s", async (_name, damage, told) => {
    const seatId = await soldTwice();
    const { look } = openAudit();
    expect((await look()).seats.found).toEqual([]);
    const { mend } = await keep(sale, seatId);
    await sale.rows(damage, [seatId]);
    const { found } = (await look()).seats;
    await mend();
    expect(found).toEqual([{ place: String(seatId), seatId, what: expect.stringMatching(told) }]);
    expect((await look()).seats.found).toEqual([]);
  });
});

describe("the walk", () => {
  test("goes through all seats in slices, by id, and starts over", async () => {
    const [{ count = 0 } = {}] = await sale.rows<{ count: number }>(
      "select count(*)::int as count from seats",
    );
    const sliceSeats = Math.ceil((count + 1) / 3);
    const { look } = openAudit({ sliceSeats });
    const looks = [await look(), await look(), await look(), await look()];
    expect(looks.map(({ seats }) => seats.lookedAt)).toEqual([
      ...[sliceSeats, sliceSeats, count - 2 * sliceSeats, sliceSeats],
    ]);
  });

  test("looks again, in every round, at what was found: its end is known at once", async () => {
    const seatIds = await sale.addSeats(2);
    const [seatId = 0] = seatIds;
    await reserve(seatId);
    const { mend } = await keep(sale, seatId);
    await sale.rows("update seats set version = 3 where id = $1", [seatId]);
    const { look } = openAudit({ sliceSeats: 1 });
    let found: Drift[] = [];
    while (found.length === 0) found = (await look()).seats.found;
    expect((await look()).seats).toMatchObject({ lookedAt: 2, found: [{ seatId }] });
    await mend();
    expect((await look()).seats.found).toEqual([]);
  });

  test("counts the newest ledger rows only of a seat that has changed a thousand times", async () => {
    const seatId = await sale.addSeat("cancellable");
    await reserve(seatId);
    const { mend } = await keep(sale, seatId);
    await sale.rows(
      `insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
       select epoch, seat_id, version + n, event_id, case n % 2 when 1 then 'CANCELLED'::ledger_status else 'RESERVED' end, reservation_id
       from seat_events, generate_series(1, 1000) as n where seat_id = $1`,
      [seatId],
    );
    await sale.rows(
      `update seats s set version = e.version, last_txid = e.txid from seat_events e
       where s.id = $1 and e.seat_id = s.id and e.version = 1001`,
      [seatId],
    );
    const { look } = openAudit();
    expect((await look()).seats.found).toEqual([]);
    await sale.rows("delete from seat_events where seat_id = $1 and version = 990", [seatId]);
    expect(toldOf(seatId, (await look()).seats.found)).toEqual([
      "a version has no ledger row: the next row is of version 991",
    ]);
    await mend();
  });
});

const reserve = async (seatId: number, version = 0) => {
  const session = await sale.pool.connect();
  const row = await reserveOne(session, seatId, version).finally(() => session.release());
  if (row.verdict !== "won") throw new Error(`not reserved: ${row.verdict}`);
};

describe("what memory may say", () => {
  test("is anything that was true once: a hold that is over since, a sale that is undone, a seat not known at all", async () => {
    const [, overHold = 0, undone = 0] = await sale.addSeats(3, "cancellable");
    await taken(sale, [overHold]);
    await sale.rows("update seats set hold_expires_at = now() - interval '1 s' where id = $1", [overHold]);
    const { look, memory } = openAudit();
    memory.learn(overHold, 1, "available", false);
    memory.learn(undone, 0, "available", true);
    await reserve(undone);
    expect((await look()).memory.found).toEqual([]);
    memory.learn(overHold, 1, "held", false);
    memory.learn(undone, 1, "reserved", false);
    expect((await look()).memory.found).toEqual([]);
  });

  test("is for a while that a seat is gone which was given back since: the news are on their way", async () => {
    const seatId = await sale.addSeat("final");
    await reserve(seatId);
    const { look, memory } = openAudit();
    memory.learn(seatId, 1, "reserved", true);
    await sale.rows(
      `with freed as (
         update seats set status = 'available', version = 2, reservation_id = null, last_txid = pg_current_xact_id()
         where id = $1 returning id, event_id, last_epoch
       )
       insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
       select last_epoch, id, 2, event_id, 'CANCELLED', gen_random_uuid() from freed`,
      [seatId],
    );
    expect((await look()).memory.found).toEqual([]);
    await sale.rows("update seat_events set occurred_at = now() - interval '16 s' where seat_id = $1", [
      seatId,
    ]);
    expect(toldOf(seatId, (await look()).memory.found)).toEqual([
      "memory refuses it for good at version 1, in the database it is available at version 2",
    ]);
    memory.learn(seatId, 2, "available", false);
    expect((await look()).memory.found).toEqual([]);
  });

  test("is what was committed after the seats were read: a suspicion is read once more", async () => {
    const seatId = await sale.addSeat();
    const { look, memory, database } = openAudit();
    memory.learn(seatId, 0, "available", false);
    const execute = database.execute.bind(database);
    let reads = 0;
    const meanwhile = spyOn(database, "execute").mockImplementation((async (
      query: Parameters<typeof execute>[0],
    ) => {
      const answer = await execute(query);
      if (++reads === 1) {
        await reserve(seatId);
        memory.learn(seatId, 1, "reserved", true);
      }
      return answer;
    }) as unknown as typeof execute);
    const { found } = (await look()).memory;
    meanwhile.mockRestore();
    expect({ found, reads }).toEqual({ found: [], reads: 2 });
  });
});

describe("memory that is ahead of the database is found and named, and gone when it has forgotten:", () => {
  test.each([
    [
      "a version that no seat has",
      [7, "reserved", true],
      "memory has version 7 (reserved), the database 1 (held)",
    ],
    [
      "a seat that is gone, where it is held",
      [1, "reserved", true],
      "memory refuses it for good at version 1, in the database it is held at version 1",
    ],
    [
      "reserved, where it is held",
      [1, "reserved", false],
      "at version 1 memory says reserved, the database held",
    ],
  ] as const)("%s", async (_name, [version, status, final], told) => {
    const seatId = await sale.addSeat("cancellable");
    await taken(sale, [seatId]);
    const { look, memory } = openAudit();
    memory.learn(seatId, version, status, final);
    expect((await look()).memory.found).toEqual([{ place: String(seatId), seatId, what: told }]);
    memory.clear();
    expect((await look()).memory.found).toEqual([]);
  });

  test("a seat of an event that takes seats back, said to be gone for good", async () => {
    const seatId = await sale.addSeat("cancellable");
    await taken(sale, [seatId], { isHold: false });
    const { look, memory } = openAudit();
    memory.learn(seatId, 1, "reserved", true);
    expect(toldOf(seatId, (await look()).memory.found)).toEqual([
      "memory refuses it for good at version 1, in the database it is reserved at version 1",
    ]);
  });

  test("also in later rounds, outside their slices", async () => {
    const seatId = await sale.addSeat();
    const { look, memory } = openAudit({ sliceSeats: 1 });
    memory.learn(seatId, 3, "held", false);
    let found: Drift[] = [];
    while (found.length === 0) found = (await look()).memory.found;
    expect((await look()).memory.found).toMatchObject([{ seatId }]);
    memory.clear();
    expect((await look()).memory.found).toEqual([]);
  });

  test("until it has stood for eight rounds: then it is forgotten, and nobody is refused by it", async () => {
    const seatId = await sale.addSeat();
    const { look, memory } = openAudit();
    memory.learn(seatId, 1, "reserved", true);
    for (let round = 1; round <= 8; round++) {
      expect(memory.isGone(seatId)).toBe(true);
      expect((await look()).memory.found).toMatchObject([{ seatId }]);
    }
    expect(memory.versionOf(seatId)).toBe(-1);
    expect((await look()).memory.found).toEqual([]);
  });

  test("but for the round in which a new epoch is met, whose lost commits memory is about to forget", async () => {
    const seatId = await sale.addSeat();
    const { look, memory } = openAudit();
    await look();
    await sale.rows(
      "insert into ledger_epochs (epoch, system_identifier, timeline) values (2, 'elsewhere', 1)",
    );
    memory.learn(seatId, 1, "reserved", true);
    expect((await look()).memory.found).toEqual([]);
    expect((await look()).memory.found).toMatchObject([{ seatId }]);
    await sale.rows("delete from ledger_epochs where epoch = 2");
  });
});
