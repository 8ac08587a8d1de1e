import { beforeAll, describe, expect, test } from "bun:test";
import type { Anchor } from "../../src/proof/verify/chain-proof.ts";
import type { Proof } from "../../src/proof/verify/findings.ts";
import type { Verification } from "../../src/proof/verify/proof.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { openSealedSale } from "../ledger/sealed-sale.ts";
import { only } from "../postgres/sale.ts";

const sealed = useOpened(openSealedSale);
/** The chain's head when the sale was sealed, as somebody has kept it. */
let head: Anchor;
/** The digests of all checkpoints. */
let kept: Anchor[];
beforeAll(async () => {
  const found = (await sealed.verify()).head;
  if (!found) throw new Error("nothing was sealed");
  head = found;
  kept = await sealed.sale.rows<Anchor>(
    `select rows_total::int as "rowsTotal", encode(digest, 'base64') as digest from ledger_checkpoints order by number`,
  );
});

const chainOf = ({ proofs }: Verification): Proof => only(proofs.filter(({ name }) => name === "chain"));

describe("a checkpoint that was", () => {
  test.each([
    [
      "given another digest",
      "update ledger_checkpoints set digest = sha256(digest) where number = 3",
      "a checkpoint does not follow from its rows: it was changed, or one of them",
    ],
    [
      "given another digest, the last one",
      "update ledger_checkpoints set digest = sha256(digest) where number = (select max(number) from ledger_checkpoints)",
      "a checkpoint does not follow from its rows: it was changed, or one of them",
    ],
    [
      "given other row digests",
      "update ledger_checkpoints set row_digests = overlay(row_digests placing '\\x00' from 2) where number = 3",
      "a checkpoint's row digests were changed",
    ],
    [
      "given fewer row digests",
      "update ledger_checkpoints set row_digests = substr(row_digests, 1, 11) where number = 3",
      "a checkpoint's row digests were changed",
    ],
    [
      "given another count",
      "update ledger_checkpoints set row_count = row_count + 1 where number = 3",
      "a checkpoint miscounts its rows",
    ],
    [
      "given a count beyond all bounds",
      "update ledger_checkpoints set row_count = 2147483647 where number = 3",
      "a checkpoint miscounts its rows",
    ],
    [
      "given another total",
      "update ledger_checkpoints set rows_total = rows_total + 1 where number = 3",
      "a checkpoint miscounts its rows",
    ],
    [
      "given another place",
      "update ledger_checkpoints set id = id - 1 where number = 3",
      "a checkpoint names another last row than the one it has sealed",
    ],
    [
      "given a place far away",
      "update ledger_checkpoints set epoch = 1000 where number = 3",
      "a checkpoint names another last row than the one it has sealed",
    ],
    ["deleted", "delete from ledger_checkpoints where number = 3", "checkpoints are missing"],
    ["the first and deleted", "delete from ledger_checkpoints where number = 1", "checkpoints are missing"],
  ])("%s is found, and no other is blamed", async (_what, damage, what) => {
    const { findings, verdict } = chainOf(await sealed.verifyDamaged([damage]));
    expect(verdict).toBe("damaged");
    expect(findings.map((finding) => finding.what)).toContain(what);
    const blamed = findings.map(({ detail }) => /^checkpoint (\d+)$/.exec(detail ?? "")?.[1]);
    expect(new Set(blamed.filter((number) => number !== undefined)).size).toBeLessThanOrEqual(
      what === "a checkpoint miscounts its rows" ? 2 : 1,
    );
  });

  test("made for rows that there are not is found", async () => {
    const { findings } = chainOf(
      await sealed.verifyDamaged([
        `insert into ledger_checkpoints select number + 1, epoch, txid, id, 1, rows_total + 1, sha256(digest), '\\x00000000'
         from ledger_checkpoints order by number desc limit 1`,
      ]),
    );
    expect(findings.length).toBeGreaterThan(0);
  });

  test("changed together with a row, CRCs and all, is found by the next one", async () => {
    const { findings } = chainOf(
      await sealed.verifyDamaged([
        `update seat_events set occurred_at = occurred_at - interval '1 hour'
         where (epoch, txid, id) = (select epoch, txid, id from ledger_checkpoints where number = 3)`,
        "update ledger_checkpoints set digest = sha256(digest), row_digests = sha256(row_digests) where number = 3",
      ]),
    );
    expect(findings.length).toBeGreaterThan(0);
  });
});

describe("the end of the chain", () => {
  const cutEnd = [
    `create temp table last on commit drop as
       select (select epoch from ledger_checkpoints order by number desc offset 1 limit 1) as epoch,
              (select txid from ledger_checkpoints order by number desc offset 1 limit 1) as txid,
              (select id from ledger_checkpoints order by number desc offset 1 limit 1) as id`,
    "delete from ledger_checkpoints where number = (select max(number) from ledger_checkpoints)",
    "delete from seat_events where (epoch, txid, id) > (select epoch, txid, id from last)",
  ];

  test("that was taken away is missed where somebody kept the head, even with all traces removed", async () => {
    const traceless = [...cutEnd, "delete from ledger_cursors"];
    expect(chainOf(await sealed.verifyDamaged(traceless)).verdict).toBe("proven");
    const { verdict, findings } = chainOf(await sealed.verifyDamaged(traceless, { anchors: [head] }));
    expect(verdict).toBe("damaged");
    expect(findings).toMatchObject([
      {
        what: "the chain does not contain the checkpoint that was kept",
        detail: expect.stringContaining(head.digest),
      },
    ]);
  });

  test("that does not reach what was published is not proven", async () => {
    expect(chainOf(await sealed.verifyDamaged(cutEnd)).verdict).toBe("unproven");
  });

  test("is all of it, where a database published before there was a chain", async () => {
    const verification = await sealed.verifyDamaged(["delete from ledger_checkpoints"]);
    expect(verification.verdict).toBe("unproven");
    expect(verification.head).toBeUndefined();
  });
});

describe("a checkpoint that somebody kept", () => {
  test("is found in the chain, each of them, also where the checkpoint itself is gone", async () => {
    expect(chainOf(await sealed.verifyDamaged([], { anchors: kept })).verdict).toBe("proven");
    const without = ["delete from ledger_checkpoints where number in (1, 3)"];
    const { findings } = chainOf(await sealed.verifyDamaged(without, { anchors: kept }));
    expect(findings.map(({ what }) => what)).toEqual(["checkpoints are missing", "checkpoints are missing"]);
  });

  test("is found whatever the windows are that the ledger was sealed in", async () => {
    const merged = [
      "update ledger_checkpoints c set row_count = c.row_count + p.row_count, row_digests = p.row_digests || c.row_digests from ledger_checkpoints p where c.number = 2 and p.number = 1",
      "delete from ledger_checkpoints where number = 1",
      "update ledger_checkpoints set number = 1 - number",
      "update ledger_checkpoints set number = -number",
    ];
    expect(chainOf(await sealed.verifyDamaged(merged, { anchors: kept })).verdict).toBe("proven");
  });

  test("is not in a chain that was computed again over other rows", async () => {
    const other = { ...head, digest: Buffer.alloc(32, 1).toString("base64") };
    expect(chainOf(await sealed.verifyDamaged([], { anchors: [other] })).verdict).toBe("damaged");
    const beyond = { ...head, rowsTotal: head.rowsTotal + 1 };
    expect(chainOf(await sealed.verifyDamaged([], { anchors: [beyond] })).verdict).toBe("damaged");
  });
});
