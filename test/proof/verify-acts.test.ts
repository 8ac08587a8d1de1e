import { beforeAll, describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { type ActKind, recordAct } from "../../src/postgres/admin-log.ts";
import type { Verification } from "../../src/proof/verify/proof.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { openSealedSale } from "../ledger/sealed-sale.ts";
import { only, reserveOne } from "../postgres/sale.ts";

const sealed = useOpened(openSealedSale);
beforeAll(async () => {
  const { sale } = sealed;
  const act = (kind: ActKind) =>
    recordAct(drizzle(sale.pool), { actor: "command:tester", reason: "a | in it\nand a line" }, kind, {
      kind,
    });
  const session = await sale.session();
  await act("event.created");
  for (const seatId of await sale.addSeats(10)) await reserveOne(session, seatId, 0);
  await act("holds.previewed");
  await act("event.closed");
  for (const seatId of await sale.addSeats(3)) await reserveOne(session, seatId, 0);
  await sale.endSessions();
  await sealed.publish();
});

const chainOf = ({ proofs }: Verification) => only(proofs.filter(({ name }) => name === "chain"));
const found = ({ proofs }: Verification) => proofs.flatMap(({ findings }) => findings);

/** As an engine of the previous version seals: seat rows alone, in the first form. */
const SEALED_BY_OLDER = "update ledger_checkpoints set row_form = 1";

describe("the seal covers the administration log", () => {
  test("with acts among the seats' rows, whose events are those of the seats alone", async () => {
    const verification = await sealed.verify();
    expect(verification.verdict).toBe("proven");
    const [acts] = await sealed.sale.rows<{ count: number }>("select count(*)::int as count from admin_log");
    const [rows] = await sealed.sale.rows<{ count: number }>(
      "select count(*)::int as count from seat_events",
    );
    expect(acts?.count).toBe(3);
    expect(chainOf(verification).checked).toStartWith(`${(acts?.count ?? 0) + (rows?.count ?? 0)} rows in`);
  });

  test.each([
    [
      "a changed reason",
      "update admin_log set reason = 'another' where kind = 'holds.previewed'",
      "an act of an administrator was changed after it was sealed",
    ],
    [
      "a changed actor",
      "update admin_log set actor = 'key:another' where kind = 'event.closed'",
      "an act of an administrator was changed after it was sealed",
    ],
    [
      "a deleted act",
      "delete from admin_log where kind = 'event.closed'",
      "a ledger row was deleted after it was sealed",
    ],
    [
      "an act put in between",
      `insert into admin_log (id, epoch, txid, kind, actor)
       select -1, epoch, txid, 'event.opened', 'key:x' from admin_log where kind = 'event.closed'`,
      "an act of an administrator was added",
    ],
  ])("and finds %s", async (_damage, statement, what) => {
    const verification = await sealed.verifyDamaged([statement]);
    expect(verification.verdict).toBe("damaged");
    expect(found(verification).map((finding) => finding.what)).toContain(what);
  });

  test("an act alone is sealed, and nothing is published for it", async () => {
    const eventsBefore = await Bun.file(sealed.eventsFile).text();
    const origin = { actor: "command:tester", reason: null };
    await recordAct(drizzle(sealed.sale.pool), origin, "event.opened", {});
    expect(chainOf(await sealed.verify()).note).toBe("the newest 1 rows are not sealed yet");
    await sealed.publish();
    expect(chainOf(await sealed.verify()).note).toBeUndefined();
    const deleted = await sealed.verifyDamaged(["delete from admin_log where kind = 'event.opened'"]);
    expect(deleted.verdict).toBe("damaged");
    expect(await Bun.file(sealed.eventsFile).text()).toBe(eventsBefore);
  });
});

describe("a ledger row that names an act", () => {
  const named =
    "update seat_events set act_id = 1 where (seat_id, version) = (select seat_id, version from seat_events limit 1)";

  test("is covered by the seal, and needs an act that released holds", async () => {
    const whats = found(await sealed.verifyDamaged([named])).map(({ what }) => what);
    expect(whats).toContain("a ledger row was changed after it was sealed");
    expect(whats).toContain("the act that a ledger row names is not there, or did something else");
  });

  test("changes nothing of a seal that an older engine made without it", async () => {
    const published = await sealed.verifyDamaged([
      "delete from admin_log",
      "delete from ledger_cursors",
      "delete from ledger_checkpoints",
      ...(await resealed()),
      SEALED_BY_OLDER,
      named,
      "insert into admin_log (id, epoch, txid, kind, actor, reason) select 1, epoch, txid, 'event.opened', 'key:x', 'r' from seat_events limit 1",
    ]);
    expect(chainOf(published)).toMatchObject({
      verdict: "proven",
      note: expect.stringContaining(
        "1 acts of administrators are not sealed: an engine of an older version published then",
      ),
    });
  });
});

/** The one checkpoint of all seat rows in the first form, as a statement. */
async function resealed(): Promise<string[]> {
  const { CHAIN_START, crcsOf, linkRows } = await import("../../src/ledger/chain.ts");
  const rows = await sealed.sale.rows<{ text: string }>(
    `select concat_ws('|', epoch, txid, id, seat_id, version, event_id, status, reservation_id,
       coalesce(replaces_reservation_id::text, ''), extract(epoch from occurred_at)) as text
     from seat_events order by epoch, txid, id`,
  );
  const texts = rows.map(({ text }) => text);
  const last = texts.at(-1)?.split("|") ?? [];
  return [
    `insert into ledger_checkpoints (number, epoch, txid, id, row_count, rows_total, digest, row_digests)
     values (1, ${last[0]}, '${last[1]}', ${last[2]}, ${texts.length}, ${texts.length},
       decode('${linkRows(CHAIN_START, texts)}', 'base64'), '\\x${crcsOf(texts).toString("hex")}')`,
  ];
}
