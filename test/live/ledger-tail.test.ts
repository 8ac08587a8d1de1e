import { expect, test } from "bun:test";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { LedgerTail } from "../../src/live/ledger-tail.ts";
import { positionText } from "../../src/live/position.ts";
import type { Round } from "../../src/live/recent-changes.ts";
import { until } from "../fixtures/until.ts";

const present = [{ epoch: 1, txid: "0", id: "0" }];
const page = (number: number | undefined, isMoreComing = false) => [
  {
    ...{ epoch: 1, rowCount: number ? 1 : 0, end: number ? `1-${number}-${number}` : null, isMoreComing },
    ...{ eventId: number ? "1" : null, text: number ? `id: 1-${number}-${number}\n\n` : null },
  },
];

/** A tail of a database that gives these answers in turn, and then has nothing new; undefined fails. */
function openTail(script: (object[] | undefined)[]) {
  const answers = [...script];
  let asked = 0;
  const database = {
    execute: async () => {
      asked++;
      const rows = answers.length > 0 ? answers.shift() : page(undefined);
      if (!rows) throw new Error("away");
      return { rows, rowCount: rows.length };
    },
  } as unknown as NodePgDatabase;
  const rounds: Round[] = [];
  const tail = new LedgerTail({ database });
  tail.follow({ publish: (round) => rounds.push(round), startOver: () => undefined });
  const ends = () => rounds.map(({ end }) => positionText(end));
  return { tail, ends, asked: () => asked };
}

const heard = (ends: () => string[], count: number) =>
  until(`${count} rounds`, () => ends().length === count);

test("nothing is read while nobody listens, and nothing more when the last one has left", async () => {
  const { tail, ends, asked } = openTail([present, page(1)]);
  tail.poke();
  expect(asked()).toBe(0);
  await tail.listen();
  await heard(ends, 1);
  tail.leave();
  const before = asked();
  tail.poke();
  await Bun.sleep(0);
  expect(asked()).toBe(before);
});

test("a read that fails is tried again from where it was", async () => {
  const { tail, ends } = openTail([present, page(1), undefined, undefined, page(2)]);
  await tail.listen();
  await heard(ends, 1);
  tail.poke();
  await heard(ends, 2);
  expect(ends()).toEqual(["1-1-1", "1-2-2"]);
  tail.leave();
});

test("rows that wait for a running transaction are read soon after it, without a poke", async () => {
  const { tail, ends } = openTail([present, page(undefined, true), page(undefined, true), page(1)]);
  const startedAt = performance.now();
  await tail.listen();
  await heard(ends, 1);
  // A poll alone would take 2 s.
  expect(performance.now() - startedAt).toBeLessThan(1500);
  tail.leave();
});

test("a tail that could not open opens for the next listener", async () => {
  const { tail, ends } = openTail([undefined, present, page(1)]);
  const [first, second] = await Promise.allSettled([tail.listen(), tail.listen()]);
  expect([first.status, second.status]).toEqual(["rejected", "rejected"]);
  await tail.listen();
  await heard(ends, 1);
  tail.leave();
});
