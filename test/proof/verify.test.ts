import { beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Finding } from "../../src/proof/rules/rule.ts";
import type { Verification } from "../../src/proof/verify/proof.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { type Damage, openSealedSale } from "../ledger/sealed-sale.ts";
import { only } from "../postgres/sale.ts";

const sealed = useOpened(openSealedSale);
/** A sealed row in the middle of the ledger. */
let victim: Row;
let rows: Row[];
beforeAll(async () => {
  rows = await sealed.sale.rows<Row>(
    `select seat_id::text as "seatId", version, status::text, reservation_id as "reservationId" from seat_events order by epoch, txid, id`,
  );
  victim = only(rows.slice(15, 16));
});

interface Row {
  seatId: string;
  version: number;
  status: string;
  reservationId: string;
}

const findingsOf = ({ proofs }: Verification): Finding[] => proofs.flatMap(({ findings }) => findings);
const failedOf = ({ proofs }: Verification): string[] =>
  proofs.filter(({ verdict }) => verdict === "damaged").map(({ name }) => name);
const naming = (verification: Verification, what: string) =>
  findingsOf(verification).filter((finding) => finding.what === what);

const isVictim = () => `(seat_id, version) = (${victim.seatId}, ${victim.version})`;

describe("a sound sale", () => {
  test("in which every transition has happened is proven", async () => {
    const { verdict, proofs, head } = await sealed.verify();
    expect(proofs.filter((proof) => proof.verdict !== "proven")).toEqual([]);
    expect([verdict, head?.rowsTotal]).toEqual(["proven", rows.length]);
    const seen = await sealed.sale.rows<{ status: string; replaces: boolean }>(
      "select distinct status::text, replaces_reservation_id is not null as replaces from seat_events order by 1, 2",
    );
    expect(seen.map(({ status, replaces }) => `${status}${replaces ? " in place of another" : ""}`)).toEqual([
      ...["CANCELLED", "EXPIRED", "EXTENDED", "HELD", "HELD in place of another"],
      ...["RELEASED", "RESERVED", "RESERVED in place of another"],
    ]);
  });

  test("is proven with rows that no publisher has seen yet, which are counted", async () => {
    const { proofs } = await sealed.verifyDamaged(async (session) => {
      await session.query("savepoint before");
      await session.query(
        `with s as (update seats set version = 1, status = 'reserved', reservation_id = gen_random_uuid(), last_epoch = 1, last_txid = pg_current_xact_id()
           where id = (select min(id) from seats where version = 0) returning *),
         r as (insert into reservations (id, event_id, status, seat_count, seat_ids, prices_minor)
           select reservation_id, event_id, 'confirmed', 1, array[id], array[price_minor] from s)
         insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
         select 1, id, 1, event_id, 'RESERVED', reservation_id from s`,
      );
    });
    // Its own transaction is one that its snapshot does not count as begun.
    expect(proofs.find(({ name }) => name === "chain")).toMatchObject({
      verdict: "proven",
      note: "the newest 1 rows are not sealed yet",
    });
  });
});

describe("one column of one sealed ledger row that was changed", () => {
  test.each([
    ["epoch", "epoch = 0"],
    ["transaction", "txid = (txid::text::bigint + 1)::text::xid8"],
    ["id", "id = id + 100000"],
    ["seat", "seat_id = seat_id + 100000"],
    ["version", "version = version + 1000"],
    ["event", "event_id = event_id + 1"],
    ["status", "status = case status when 'RELEASED' then 'EXPIRED'::ledger_status else 'RELEASED' end"],
    ["reservation", "reservation_id = gen_random_uuid()"],
    ["replaced reservation", "replaces_reservation_id = gen_random_uuid()"],
    ["time, by a microsecond", "occurred_at = occurred_at + interval '1 microsecond'"],
    ["change", "change_id = gen_random_uuid()"],
    ["change, taken away or given", "change_id = case when change_id is null then gen_random_uuid() end"],
    ["end of the hold, given", "hold_expires_at = now()"],
  ])("is found, and the row named: %s", async (_column, change) => {
    const verification = await sealed.verifyDamaged([
      "alter table seat_events alter id drop identity",
      `update seat_events set ${change} where ${isVictim()}`,
    ]);
    expect(failedOf(verification)).toContain("chain");
    const named = findingsOf(verification).map(({ seatId, version }) => `${seatId}:${version}`);
    expect(named).toContain(`${victim.seatId}:${victim.version}`);
  });
});

describe("damage to the ledger", () => {
  test("a row that was deleted is named", async () => {
    const verification = await sealed.verifyDamaged([`delete from seat_events where ${isVictim()}`]);
    const before = only(rows.slice(14, 15));
    expect(naming(verification, "a ledger row was deleted after it was sealed")).toEqual([
      {
        what: "a ledger row was deleted after it was sealed",
        detail: `in checkpoint 3, after the row of seat ${before.seatId}, version ${before.version}`,
      },
    ]);
    expect(findingsOf(verification)).toContainEqual(
      expect.objectContaining({ seatId: victim.seatId, version: victim.version }),
    );
  });

  test("a row that was added among sealed ones is named", async () => {
    const verification = await sealed.verifyDamaged([
      `insert into seat_events (id, epoch, txid, seat_id, version, event_id, status, reservation_id) overriding system value
       select id + 100000, epoch, txid, 999, 1, event_id, 'RESERVED', gen_random_uuid() from seat_events where ${isVictim()}`,
    ]);
    expect(naming(verification, "a ledger row was added")).toEqual([
      { what: "a ledger row was added", seatId: "999", version: 1, detail: expect.any(String) },
    ]);
  });

  test("a row that was added behind the last is named by its seat", async () => {
    const verification = await sealed.verifyDamaged([
      `insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
       select 1, seat_id, version + 1, event_id, 'RESERVED', reservation_id from seat_events
       where seat_id = ${victim.seatId} order by version desc limit 1`,
    ]);
    expect(failedOf(verification)).toContain("seats");
    expect(findingsOf(verification).map(({ seatId }) => seatId)).toContain(victim.seatId);
  });

  test("two rows whose places were swapped are both named", async () => {
    const [one, other] = [victim, only(rows.slice(16, 17))];
    const either = `((${one.seatId}, ${one.version}), (${other.seatId}, ${other.version}))`;
    const verification = await sealed.verifyDamaged([
      "alter table seat_events alter id drop identity",
      "drop index seat_events_publish_order",
      `update seat_events e set id = o.id, txid = o.txid from seat_events o
       where (e.seat_id, e.version) in ${either} and (o.seat_id, o.version) in ${either}
         and (o.seat_id, o.version) <> (e.seat_id, e.version)`,
    ]);
    const named = naming(verification, "a ledger row was changed after it was sealed");
    expect(named.map(({ seatId, version }) => `${seatId}:${version}`).sort()).toEqual(
      [one, other].map(({ seatId, version }) => `${seatId}:${version}`).sort(),
    );
  });
});

test("whatever bit of a sealed ledger row is turned, it is found and the row is named", async () => {
  const bit = fc.integer({ min: 0, max: 30 });
  const uuidBit = (column: string) => (turned: number) =>
    `${column} = overlay(coalesce(${column}, '00000000-0000-4000-8000-000000000000')::text placing
       case substr(coalesce(${column}::text, '0'), ${(turned % 8) + 1}, 1) when '0' then '1' else '0' end from ${(turned % 8) + 1})::uuid`;
  const columns: ((turned: number) => string)[] = [
    ...["id", "seat_id", "event_id"].map(
      (column) => (turned: number) => `${column} = ${column} # (1::bigint << ${turned})`,
    ),
    (turned) => `version = version # (1 << ${turned})`,
    (turned) => `txid = (txid::text::bigint # (1::bigint << ${turned}))::text::xid8`,
    (turned) => `epoch = epoch # (1 << ${turned % 8})`,
    (turned) => `occurred_at = occurred_at + (1::bigint << ${turned % 20}) * interval '1 microsecond'`,
    uuidBit("reservation_id"),
    uuidBit("replaces_reservation_id"),
    uuidBit("change_id"),
    (turned) =>
      `hold_expires_at = coalesce(hold_expires_at, now()) + (1::bigint << ${turned % 20}) * interval '1 microsecond'`,
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: rows.length - 1 }),
      fc.constantFrom(...columns),
      bit,
      async (index, column, turned) => {
        const row = only(rows.slice(index, index + 1));
        const damage: Damage = [
          "alter table seat_events alter id drop identity",
          `update seat_events set ${column(turned)} where (seat_id, version) = (${row.seatId}, ${row.version})`,
        ];
        const verification = await sealed
          .verifyDamaged(damage)
          // Where there is such a row already, the database itself refuses.
          .catch((error: { code?: string }) => fc.pre(error.code !== "23505") ?? Promise.reject(error));
        expect(failedOf(verification)).toContain("chain");
        const named = findingsOf(verification).map(({ seatId, version }) => `${seatId}:${version}`);
        expect(named).toContain(`${row.seatId}:${row.version}`);
      },
    ),
    { numRuns: 60 },
  );
}, 30_000);
