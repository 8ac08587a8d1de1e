import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { ChangeStream } from "../../src/live/change-stream.ts";
import { RecentChanges, type Round, roundOf } from "../../src/live/recent-changes.ts";
import type { LedgerPosition } from "../../src/postgres/ledger.ts";

const at = (number: number): LedgerPosition => ({ epoch: 1, txid: String(number), id: String(number) });
const EVENT = 1;

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

let end = 1;
/** That many bytes of one change. */
function change(bytes: number): Round {
  const after = at(end++);
  const head = `id: 1-${end}-${end}\nevent: seat\ndata: `;
  const text = `${head}${"x".repeat(bytes - head.length - 2)}\n\n`;
  return roundOf(after, at(end), { rowCount: 1, textByEvent: new Map([[EVENT, text]]) });
}

function open(position?: LedgerPosition) {
  const recent = new RecentChanges(at(end));
  const overs: (string | undefined)[] = [];
  const stream = new ChangeStream({
    ...{ eventId: EVENT, position, recent },
    onOver: (dropped) => overs.push(dropped),
  });
  const tell = (round: Round) => {
    recent.append(round);
    stream.take(round);
  };
  return { stream, recent, overs, tell };
}

test("a client whose socket takes nothing is dropped after two heartbeats, however little is owed to it", () => {
  const { tell, overs } = open();
  tell(change(70_000));
  tell(change(1000));
  jest.advanceTimersByTime(29_000);
  expect(overs).toEqual([]);
  jest.advanceTimersByTime(2000);
  expect(overs).toEqual(["slow-consumer"]);
});

test("a client is dropped when more than 256 KiB are owed to it, and hears nothing after that", async () => {
  const { stream, tell, overs } = open();
  tell(change(70_000));
  tell(change(200_000));
  expect(overs).toEqual([]);
  tell(change(70_000));
  expect(overs).toEqual(["slow-consumer"]);
  tell(change(1000));
  expect(overs).toEqual(["slow-consumer"]);
  const text = await new Response(stream.body).text();
  expect(text.split("\n\n").at(-2)).toBe('event: dropped\ndata: {"reason":"slow-consumer"}');
  expect(text.length).toBeLessThan(71_000);
});

test("what came while its socket was full is given when it has room, all of it and in order", async () => {
  const { stream, tell, overs } = open();
  const from = end;
  tell(change(70_000));
  for (let count = 0; count < 20; count++) tell(change(5000));
  const reader = stream.body.getReader();
  let text = "";
  while (!text.includes(`id: 1-${end}-`)) text += new TextDecoder().decode((await reader.read()).value);
  tell(change(1000));
  text += new TextDecoder().decode((await reader.read()).value);
  const ids = [...text.matchAll(/id: 1-(\d+)-\d+\nevent: seat/g)].map(([, id]) => Number(id));
  expect(ids).toEqual(Array.from({ length: 22 }, (_, index) => from + 1 + index));
  expect(overs).toEqual([]);
});

test("what a client missed while it was away does not count as slowness", () => {
  const position = at(end);
  const { stream, tell, overs } = open(position);
  for (let count = 0; count < 10; count++) tell(change(70_000));
  stream.begin();
  for (let count = 0; count < 5; count++) tell(change(70_000));
  expect(overs).toEqual([]);
});

test("a client that left is sent nothing more, and leaves once", async () => {
  const { stream, tell, overs } = open();
  await stream.body.cancel();
  tell(change(1000));
  stream.end("shutdown");
  jest.advanceTimersByTime(60_000);
  expect(overs).toEqual([undefined]);
});
