import { describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { rowRules, rulesByProof, rulesText } from "../../src/proof/rules/rules.ts";
import { proveRows } from "../../src/proof/verify/proof.ts";
import { replayFaults } from "../fixtures/replay.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { openSealedSale } from "../ledger/sealed-sale.ts";

const sealed = useOpened(openSealedSale);

/** A seat that was held, extended, confirmed and cancelled, and the row of its extension. */
const CANCELLED = "(select min(seat_id) from seat_events where status = 'EXTENDED')";
const EXTENSION = `(seat_id, version) = (${CANCELLED}, 2)`;
/** A seat that was reserved in one step, and its reservation. */
const SOLD = "(select min(id) from seats where status = 'reserved')";
const OF_SOLD = `id = (select reservation_id from seats where id = ${SOLD})`;
const CONFIRMED_HOLD =
  "(select s.id from seats s join reservations r on r.id = s.reservation_id where s.status = 'reserved' and r.expires_at is not null order by 1 limit 1)";
/** A reservation whose seats were all taken over after its hold had ended. */
const isOvertaken = () => `id = '${sealed.undetermined[0]}'`;

const OUT_OF_ORDER = [
  "a ledger row would be published after the one of the version above it",
  "a ledger row would be published before the one of the version below it",
];
const NO_SEAT = "the reservation's seat is not there, or of another event";
const OTHER_EVENT = "the reservation is of another event than its ledger rows";

/** For each rule a damage that it alone finds; where others cannot but find it too, they are named. */
const DAMAGES: Record<string, [damage: string | (() => string), ...others: string[]]> = {
  "a version has no ledger row": [`delete from seat_events where ${EXTENSION}`],
  [OUT_OF_ORDER[0] ?? ""]: [`update seat_events set txid = '1' where ${EXTENSION}`, OUT_OF_ORDER[1] ?? ""],
  [OUT_OF_ORDER[1] ?? ""]: [`update seat_events set txid = '1' where ${EXTENSION}`, OUT_OF_ORDER[0] ?? ""],
  "a ledger row does not follow from the one before it": [
    `update seat_events set replaces_reservation_id = gen_random_uuid() where ${EXTENSION}`,
  ],
  "a ledger row of a transaction that has not begun yet": [
    `with row as (update seat_events set txid = '9000000000' where seat_id = ${SOLD} returning seat_id)
     update seats set last_txid = '9000000000' where id = (select seat_id from row)`,
  ],
  "ledger rows of a seat that does not exist": [`delete from seats where id = ${SOLD}`, NO_SEAT],
  "the ledger ends before the seat does": [`update seats set version = version + 1 where id = ${SOLD}`],
  "the seat is behind its ledger": [`update seats set version = version - 1 where id = ${SOLD}`],
  "the seat's status is not that of its last ledger row": [
    `update seats s set status = 'held', hold_expires_at = r.expires_at from reservations r
     where s.id = ${CONFIRMED_HOLD} and r.id = s.reservation_id`,
  ],
  "the seat's owner is not that of its last ledger row": [
    `update seats set reservation_id = gen_random_uuid() where id = ${SOLD}`,
  ],
  "the seat was changed last by another transaction than its last ledger row": [
    `update seats set last_txid = '1' where id = ${SOLD}`,
  ],
  "a ledger row names another event than its seat": [
    `update seat_events set event_id = event_id + 1 where ${EXTENSION}`,
  ],
  "ledger rows of a reservation that does not exist": [`delete from reservations where ${OF_SOLD}`],
  "ledger rows of a reservation that is void": [`update reservations set status = 'void' where ${OF_SOLD}`],
  "a reservation without a ledger row": [
    `insert into reservations (id, event_id, status, seat_count, seat_ids, prices_minor)
     select gen_random_uuid(), event_id, 'confirmed', 1, array[id], '{1}' from seats where id = ${SOLD}`,
  ],
  "the reservation's status is not what the ledger says": [
    `update reservations set status = 'released' where ${OF_SOLD}`,
  ],
  "the reservation's seats are not those of its ledger rows": [
    `update reservations set seat_ids = seat_ids || (select max(id) from seats where event_id = 1), seat_count = 2,
       prices_minor = prices_minor || 1 where ${OF_SOLD}`,
  ],
  "the reservation miscounts its seats or prices": [
    `update reservations set seat_count = 9 where ${OF_SOLD}`,
  ],
  [OTHER_EVENT]: [`update reservations set event_id = 2 where ${OF_SOLD}`, NO_SEAT],
  "a live hold was taken over": [
    () =>
      `update reservations set status = 'held', expires_at = now() + interval '1 hour' where ${isOvertaken()}`,
  ],
  "a hold without an end": [
    () => `update reservations set status = 'held', expires_at = null where ${isOvertaken()}`,
  ],
  "the seat's hold ends at another time than its reservation": [
    "update seats set hold_expires_at = hold_expires_at + interval '1 hour' where status = 'held'",
  ],
  "the seat's event is not there": [
    "insert into seats (event_id, seat_number, price_minor) values (999, 'X', 1)",
  ],
  "the seat's section is not there": [
    "insert into seats (event_id, section_id, seat_number, price_minor) values (1, 999, 'X', 1)",
  ],
  "the seat is not in its section": ["update sections set first_seat_id = first_seat_id + 1"],
  "the section's event is not there": [
    `insert into sections (event_id, name, kind, first_seat_id, seat_count, layout) values (999, 'X', 'general', 1, 0, '{}')`,
  ],
  "the section has not all its seats": ["update sections set seat_count = seat_count + 1"],
  "the reservation's event is not there": [
    `update reservations set event_id = 999 where ${OF_SOLD}`,
    ...[OTHER_EVENT, NO_SEAT],
  ],
  [NO_SEAT]: [
    `insert into reservations (id, event_id, status, seat_count, seat_ids, prices_minor) values (gen_random_uuid(), 1, 'void', 1, '{999999}', '{1}')`,
  ],
  "the reservation of an idempotency key is not there": [
    "insert into idempotency_keys (scope, key, fingerprint, reservation_id) values ('a', 'b', 'c', gen_random_uuid())",
  ],
  "the act that a ledger row names is not there, or did something else": [
    `update seat_events set act_id = 999 where ${EXTENSION}`,
  ],
  "the act that denied a caller is not there, or did something else": [
    "insert into denials (act_id, caller, reason, denied_until) values (999, 'key:x', 'r', now())",
  ],
  "an act without the reason that it needs": [
    "insert into admin_log (epoch, kind, actor) values (1, 'holds.released', 'key:x')",
  ],
  "a reservation names a caller that cannot be one": [
    `update reservations set caller = 'somebody' where ${OF_SOLD}`,
  ],
};

/** Damages the sale, asks the rules and the replay, and undoes it. */
async function judge(damage: string): Promise<{ broken: string[]; faults: string[] }> {
  const session = await sealed.sale.pool.connect();
  try {
    await session.query("begin");
    await session.query(damage);
    const proofs = await proveRows(drizzle(session));
    return {
      broken: proofs.flatMap(({ totals }) => Object.keys(totals)).sort(),
      faults: await replayFaults(drizzle(session)),
    };
  } finally {
    await session.query("rollback");
    session.release();
  }
}

const findings = (...proofs: (keyof typeof rowRules)[]) =>
  proofs.flatMap((proof) => rowRules[proof].flatMap(({ rules }) => rules.map(({ finding }) => finding)));

describe("each rule", () => {
  test("has a name and a statement of its own", () => {
    const rules = Object.values(rulesByProof).flat();
    expect(rules.map(({ finding }) => finding).toSorted()).toEqual(
      [...new Set(rules.map(({ finding }) => finding))].toSorted(),
    );
    for (const { statement } of rules) expect(statement).toMatch(/^[A-Z].+\.$/);
  });

  test("is in the operators' page as the help prints it", async () => {
    const page = await Bun.file(new URL("../../docs/operations/verify.md", import.meta.url)).text();
    expect(page).toContain(`\`\`\`text\n${rulesText()}\n\`\`\``);
  });

  test.each(findings("ledger", "seats", "reservations", "references"))(
    "finds its damage: %s",
    async (finding) => {
      const [damage = "", ...others] = DAMAGES[finding] ?? [];
      const { broken } = await judge(typeof damage === "string" ? damage : damage());
      expect(broken).toEqual([finding, ...others].sort());
    },
  );
});

describe("the rules and the replay agree", () => {
  test("that a sale in which everything has happened is sound", async () => {
    expect(await judge("select")).toEqual({ broken: [], faults: [] });
  });

  test.each([
    [
      "status of a ledger row",
      "seat_events",
      "status",
      ["RESERVED", "HELD", "EXTENDED", "RELEASED", "EXPIRED", "CANCELLED"],
    ],
    [
      "reservation that a ledger row replaces",
      "seat_events",
      "replaces_reservation_id",
      ["reservation_id", "null"],
    ],
    [
      "status of a reservation",
      "reservations",
      "status",
      ["held", "confirmed", "released", "expired", "cancelled", "void"],
    ],
    [
      "seats of a reservation",
      "reservations",
      "seat_ids",
      ["case status when 'void' then seat_ids else array[1::bigint] end"],
    ],
  ])(
    "on each change of the %s",
    async (_what, table, column, values) => {
      const rows = await sealed.sale.rows<{ ctid: string }>(`select ctid::text from ${table} order by 1`);
      const verdicts = new Set<boolean>();
      for (const { ctid } of rows) {
        for (const value of values) {
          const literal = column === "status" ? `'${value}'` : value;
          const { broken, faults } = await judge(
            `update ${table} set ${column} = ${literal} where ctid = '${ctid}'`,
          );
          const ofState = findings("ledger", "seats", "reservations");
          const isBroken = broken.some((finding) => ofState.includes(finding));
          expect({ ctid, value, isBroken, broken, faults }).toMatchObject({ isBroken: faults.length > 0 });
          verdicts.add(isBroken);
        }
      }
      expect([...verdicts].sort()).toEqual([false, true]);
    },
    60_000,
  );
});
