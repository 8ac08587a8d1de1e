import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { CHAIN_START, crcsOf, linkRow, linkRows, unpackCrcs } from "../../src/ledger/chain.ts";
import { alteredRows } from "../../src/proof/verify/altered-rows.ts";

describe("the chain", () => {
  test("is SHA-256 over the digest before and the row, as anybody can compute it", () => {
    const byHand = ["one", "two"].reduce(
      (digest, row) => createHash("sha256").update(`${digest}${row}`).digest("base64"),
      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    );
    expect(linkRows(CHAIN_START, ["one", "two"])).toBe(byHand);
  });

  test("is the same however its rows are cut into windows, and another for any other rows", () => {
    const rows = fc.array(fc.string(), { minLength: 1 });
    fc.assert(
      fc.property(rows, fc.nat(), rows, (all, cut, others) => {
        const at = cut % (all.length + 1);
        const whole = linkRows(CHAIN_START, all);
        expect(linkRows(linkRows(CHAIN_START, all.slice(0, at)), all.slice(at))).toBe(whole);
        expect(linkRow(whole, "")).not.toBe(whole);
        fc.pre(others.join("\n") !== all.join("\n"));
        expect(linkRows(CHAIN_START, others)).not.toBe(whole);
      }),
    );
  });
});

describe("the CRCs of a window", () => {
  const distinct = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { minLength: 3, maxLength: 30 });
  const sealedOf = (rows: string[]) => unpackCrcs(crcsOf(rows));

  test("find nothing where nothing was altered", () => {
    fc.assert(fc.property(distinct, (rows) => expect(alteredRows(sealedOf(rows), rows)).toEqual([])));
  });

  test("name the one row that was changed, added or deleted, and no other", () => {
    fc.assert(
      fc.property(distinct, fc.nat(), (rows, place) => {
        const at = place % rows.length;
        const sealed = sealedOf(rows);
        const foreign = "a row of nine or more characters";
        expect(alteredRows(sealed, rows.with(at, foreign))).toEqual([{ kind: "changed", rowText: foreign }]);
        expect(alteredRows(sealed, rows.toSpliced(at, 0, foreign))).toEqual([
          { kind: "added", rowText: foreign },
        ]);
        expect(alteredRows(sealed, rows.toSpliced(at, 1))).toEqual([
          { kind: "deleted", after: rows[at - 1] },
        ]);
      }),
    );
  });

  test("account for every row, whatever was done to them", () => {
    fc.assert(
      fc.property(distinct, distinct, (sealedRows, rows) => {
        const alterations = alteredRows(sealedOf(sealedRows), rows);
        const count = (kind: string) => alterations.filter((alteration) => alteration.kind === kind).length;
        expect(rows.length - sealedRows.length).toBe(count("added") - count("deleted"));
        const isSame = sealedRows.join("\n") === rows.join("\n");
        expect(alterations.length === 0).toBe(isSame);
      }),
    );
  });
});
