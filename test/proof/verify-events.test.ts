import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { drizzle } from "drizzle-orm/node-postgres";
import { readCursors } from "../../src/postgres/published.ts";
import type { StoredEvent } from "../../src/proof/verify/event-store.ts";
import { openEventsFile } from "../../src/proof/verify/events-file.ts";
import { proveEvents } from "../../src/proof/verify/events-proof.ts";
import type { Proof } from "../../src/proof/verify/findings.ts";
import type { Verification } from "../../src/proof/verify/proof.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { openSealedSale } from "../ledger/sealed-sale.ts";
import { only } from "../postgres/sale.ts";

const sealed = useOpened(openSealedSale);
let lines: string[];
beforeAll(async () => {
  lines = (await readFile(sealed.eventsFile, "utf8")).split("\n").slice(0, -1);
});
beforeEach(() => writeFile(sealed.eventsFile, `${lines.join("\n")}\n`));

const eventsOf = ({ proofs }: Verification): Proof => only(proofs.filter(({ name }) => name === "events"));
/** The proof of the file as it would be with other lines. */
async function proofOf(changed: string[]): Promise<Proof> {
  await writeFile(sealed.eventsFile, `${changed.join("\n")}\n`);
  return eventsOf(await sealed.verify());
}
const identityOf = (line: string) => /"ce_id":"(\d+):(\d+)"/.exec(line) ?? [];
const named = ({ findings }: Proof) =>
  findings.map(({ what, seatId, version }) => ({ what, seatId, version }));
const finding = (what: string, line: string) => {
  const [, seatId, version] = identityOf(line);
  return { what, seatId, version: Number(version) };
};
/** Two lines of one seat, the second version directly after the first. */
function neighbours(): [number, number] {
  for (const [index, line] of lines.entries()) {
    const [, seatId, version] = identityOf(line);
    const next = lines.findIndex((other) => other.includes(`"ce_id":"${seatId}:${Number(version) + 1}"`));
    if (next !== -1) return [index, next];
  }
  throw new Error("no seat changed twice");
}

describe("the events", () => {
  test("are proven as they were published, and with repetitions", async () => {
    expect(await proofOf(lines)).toMatchObject({ verdict: "proven" });
    const { verdict, checked } = await proofOf([...lines.slice(0, 20), ...lines.slice(10)]);
    expect([verdict, checked]).toEqual(["proven", expect.stringContaining("10 of them repetitions")]);
  });

  test("of which one is missing are found out, and it is named", async () => {
    for (const index of [0, 20, lines.length - 1]) {
      const proof = await proofOf(lines.toSpliced(index, 1));
      expect(named(proof)).toEqual([finding("a published ledger row has no event", lines[index] ?? "")]);
    }
  });

  test("which are all missing are found out", async () => {
    const proof = eventsOf(await sealed.verifyDamaged([], { eventsFile: `${sealed.eventsFile}.gone` }));
    expect(proof).toMatchObject({
      verdict: "unproven",
      note: expect.stringContaining(`but to file:${sealed.eventsFile}`),
    });
    await writeFile(sealed.eventsFile, "");
    const { totals } = eventsOf(await sealed.verify());
    expect(totals).toEqual({ "a published ledger row has no event": lines.length });
  });

  test("of which one was changed, in any of its bytes, are found out, and it is named where that can be", async () => {
    const line = lines[20] ?? "";
    for (let index = 0; index < line.length; index += 7) {
      const byte = String.fromCharCode(line.charCodeAt(index) ^ 1);
      const { verdict, findings } = await proofOf(
        lines.with(20, line.slice(0, index) + byte + line.slice(index + 1)),
      );
      expect([index, verdict]).toEqual([index, "damaged"]);
      const [, seatId, version] = identityOf(line);
      expect(findings.map((found) => `${found.seatId}:${found.version}`)).toContain(`${seatId}:${version}`);
    }
  }, 30_000);

  test("of which one has a header more or less than its ledger row gives it are found out", async () => {
    const line = lines[20] ?? "";
    for (const changed of [
      line.replace('"ce_id":', '"added":"1","ce_id":'),
      line.replace(/,"ce_type":"[^"]*"/, ""),
    ]) {
      expect(changed).not.toBe(line);
      const proof = await proofOf(lines.with(20, changed));
      expect(named(proof)).toEqual([finding("an event does not say what its ledger row says", line)]);
    }
  });

  test("of which two came in the wrong order are found out", async () => {
    const [first, second] = neighbours();
    const swapped = lines.with(first, lines[second] ?? "").with(second, lines[first] ?? "");
    expect(named(await proofOf(swapped))).toEqual([
      finding("an event came after one of a later version of its seat", lines[first] ?? ""),
    ]);
  });

  test("among which there is a foreign one are found out", async () => {
    const foreign = (lines[20] ?? "").replaceAll(/"ce_id":"\d+:/g, '"ce_id":"999999:');
    expect(named(await proofOf([...lines, foreign, "nonsense"]))).toEqual([
      finding("an event is not in the ledger", foreign),
      { what: "an event is not in the ledger", seatId: undefined, version: undefined },
    ]);
    const [, seatId] = identityOf(lines[20] ?? "");
    const elsewhere = (lines[20] ?? "").replace("/epochs/1", "/epochs/7");
    expect((await proofOf([...lines, elsewhere])).findings).toMatchObject([
      { what: "an event is not in the ledger", seatId, detail: expect.stringContaining("/epochs/7") },
    ]);
  });

  test("of which the last is still being written are proven: a line without an end does not count", async () => {
    await writeFile(sealed.eventsFile, `${lines.join("\n")}\n${(lines[3] ?? "").slice(0, 40)}`);
    expect(eventsOf(await sealed.verify())).toMatchObject({ verdict: "proven" });
  });
});

describe("a live system", () => {
  /** The proof on a snapshot while the file has become what `after` says. */
  async function whileWriting(after: string[]): Promise<Proof> {
    const store = await openEventsFile(sealed.eventsFile);
    await writeFile(sealed.eventsFile, `${after.join("\n")}\n`);
    const session = drizzle(sealed.sale.pool);
    return proveEvents(session, store, await readCursors(session));
  }

  test("is not blamed for events that are newer than the snapshot", async () => {
    const newer = (lines[20] ?? "").replaceAll(/"ce_id":"\d+:/g, '"ce_id":"999999:');
    expect((await whileWriting([...lines, newer])).verdict).toBe("proven");
  });
});

describe("a topic whose retention has removed the oldest", () => {
  const trimmed = async (kept: string[]) => {
    await writeFile(sealed.eventsFile, `${kept.join("\n")}\n`);
    const file = await openEventsFile(sealed.eventsFile);
    const read = (visit: (events: StoredEvent[]) => Promise<void>) => file.read(visit);
    const session = drizzle(sealed.sale.pool);
    const store = { sink: file.sink, removedCount: lines.length - kept.length, read, close: file.close };
    return proveEvents(session, store, await readCursors(session));
  };

  test("is proven as far as it is there, and it is said how many are not", async () => {
    const { verdict, note } = await trimmed(lines.slice(17));
    expect([verdict, note]).toEqual(["proven", expect.stringContaining("17 messages")]);
  });

  test("must not lack what is between the rest", async () => {
    const [, second] = neighbours();
    const kept = lines.slice(neighbours()[0]).filter((line) => line !== lines[second]);
    expect(named(await trimmed(kept))).toContainEqual(
      finding("a published ledger row has no event", lines[second] ?? ""),
    );
  });
});
