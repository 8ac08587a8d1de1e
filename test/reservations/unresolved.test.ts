import { describe, expect, test } from "bun:test";
import { appendFile, exists, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { giveBackLeft, UnresolvedReservations } from "../../src/reservations/unresolved.ts";
import { createLog } from "../../src/telemetry/log.ts";
import type { SettleResult } from "../../src/threads/messages.ts";
import { tempDir } from "../fixtures/temp-dir.ts";

const one = [
  { reservationId: "one-1", seatIds: [1] },
  { reservationId: "one-2", seatIds: [2] },
];
const other = [{ reservationId: "other-3", seatIds: [3] }];

async function openNotes() {
  const dir = await tempDir("unresolved");
  const path = join(dir.path, "data/unresolved.jsonl");
  const open = () => new UnresolvedReservations(path, createLog("silent", "main"));
  return { path, open, [Symbol.asyncDispose]: dir.remove };
}

describe("what was told before it was known", () => {
  test("is known to the next process until somebody has settled it", async () => {
    await using notes = await openNotes();
    expect(notes.open().left()).toEqual([]);
    notes.open().began(one);
    notes.open().began(other);
    expect(notes.open().left()).toEqual([one, other]);
    notes.open().ended(one);
    expect(notes.open().left()).toEqual([other]);
  });

  test("is read as far as it was written: half a line takes no other line with it", async () => {
    await using notes = await openNotes();
    notes.open().began(one);
    await appendFile(notes.path, '{"began":{"seatIds":[9],"reserv');
    notes.open().began(other);
    expect(notes.open().left()).toEqual([one, other]);
  });

  test("is read from the file of an earlier version", async () => {
    await using notes = await openNotes();
    await mkdir(dirname(notes.path), { recursive: true });
    await Bun.write(notes.path, '\n{"began":{"seatIds":[1,2],"reservationIds":["one-1","one-2"]}}\n');
    expect(notes.open().left()).toEqual([one]);
  });

  test("is forgotten when all of it is settled, and not before", async () => {
    await using notes = await openNotes();
    notes.open().began(one);
    notes.open().tidy();
    expect(notes.open().left()).toEqual([one]);
    notes.open().ended(one);
    notes.open().tidy();
    expect(await exists(notes.path)).toBe(false);
  });

  test("does not end the process where it cannot be written", async () => {
    await using notes = await openNotes();
    await mkdir(notes.path, { recursive: true });
    notes.open().began(one);
  });
});

describe("what a former process has left", () => {
  test("is given back as soon as the database answers, seat by seat as it was committed", async () => {
    await using notes = await openNotes();
    notes.open().began(one);
    notes.open().began(other);
    const answers: SettleResult[] = ["away", { orders: [null, [4]] }, { orders: [null] }];
    const asked: unknown[] = [];
    const freed: unknown[] = [];
    const run = async (task: unknown) => {
      asked.push(task);
      return answers.shift() ?? "away";
    };
    await giveBackLeft(notes.open(), run, (seats) => freed.push(...seats));
    expect(freed).toEqual([[2, 5]]);
    const settle = { kind: "settle", giveBack: true };
    expect(asked).toEqual([
      { ...settle, orders: one },
      { ...settle, orders: one },
      { ...settle, orders: other },
    ]);
    expect(notes.open().left()).toEqual([]);
  });
});
