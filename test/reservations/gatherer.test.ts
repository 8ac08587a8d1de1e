import { afterEach, expect, jest, test } from "bun:test";
import { Gatherer } from "../../src/reservations/gatherer.ts";
import type { BusyReason } from "../../src/venue/outcome.ts";
import { watch } from "../runtime/rounds.ts";
import { turn } from "./worker.ts";

const REST_LIMIT_MS = 5;

afterEach(() => jest.useRealTimers());

interface Item {
  name: string;
  weight: number;
}

/** A gatherer whose batches end when the test says so. */
function openGatherer({ slotCount = 1, batchLimit = 10, queueLimit = 100 } = {}) {
  const sent: { names: string[]; answered(): void; end(): Promise<void> }[] = [];
  const refused: [name: string, reason: BusyReason][] = [];
  const gatherer = new Gatherer<Item>({
    slotCount,
    batchLimit,
    queueLimit,
    weightOf: ({ weight }) => weight,
    refuse: ({ name }, reason) => refused.push([name, reason]),
    send: (batch, answered) =>
      new Promise((resolve) => {
        const names = batch.map(({ name }) => name);
        sent.push({
          names,
          answered,
          end: () => {
            resolve();
            return turn();
          },
        });
      }),
  });
  const add = (name: string, weight = 1) => gatherer.add({ name, weight });
  const names = () => sent.map((batch) => batch.names.join(""));
  return { gatherer, add, sent, names, refused };
}

/** A gatherer of one slot that is busy with `x`. */
async function openBusy(limits: { batchLimit?: number; queueLimit?: number } = {}) {
  const opened = openGatherer(limits);
  opened.add("x");
  await turn();
  return opened;
}

test("a batch is bounded by the weight of what is in it, not by its count", async () => {
  const { add, sent, names } = await openBusy({ batchLimit: 10 });
  for (const name of ["a", "b", "c", "d"]) add(name, 4);
  await sent[0]?.end();
  expect(names()).toEqual(["x", "ab"]);
  await sent[1]?.end();
  expect(names()).toEqual(["x", "ab", "cd"]);
});

test("a batch may be filled to the limit exactly", async () => {
  const { add, sent, names } = await openBusy({ batchLimit: 10 });
  add("a", 4);
  add("b", 6);
  add("c", 1);
  await sent[0]?.end();
  expect(names()[1]).toBe("ab");
});

test("an item above the batch's limit goes alone, in its turn", async () => {
  const { add, sent, names } = await openBusy({ batchLimit: 10 });
  add("a");
  add("B", 11);
  add("c");
  for (const index of [0, 1, 2]) await sent[index]?.end();
  expect(names()).toEqual(["x", "a", "B", "c"]);
});

test("what does not fit is not overtaken by what would: the order is that of arrival", async () => {
  const { add, sent, names } = await openBusy({ batchLimit: 10 });
  add("a", 8);
  add("b", 8);
  add("c", 1);
  await sent[0]?.end();
  expect(names()[1]).toBe("a");
  await sent[1]?.end();
  expect(names()[2]).toBe("bc");
});

test("the queue counts weight, and is full by weight", async () => {
  const { add, gatherer, sent } = await openBusy({ queueLimit: 10, batchLimit: 20 });
  add("a", 4);
  expect([gatherer.queued, gatherer.isRefusing]).toEqual([4, undefined]);
  add("b", 7);
  expect<unknown>([gatherer.queued, gatherer.isRefusing]).toEqual([11, "overloaded"]);
  await sent[0]?.end();
  expect([gatherer.queued, gatherer.isRefusing]).toEqual([0, undefined]);
});

test("a free slot is worth it when as much waits as the batches under way carry on average, by weight", async () => {
  jest.useFakeTimers();
  const { add, names } = openGatherer({ slotCount: 3 });
  add("a", 6);
  await turn();
  add("b", 5);
  await turn();
  expect(names()).toEqual(["a"]);
  add("c", 1);
  await turn();
  expect(names()).toEqual(["a", "bc"]);
});

test("a rest that is not worth a slot takes one after a moment, once", async () => {
  jest.useFakeTimers();
  const { add, names } = openGatherer({ slotCount: 3 });
  add("a", 6);
  await turn();
  add("b");
  await turn();
  jest.advanceTimersByTime(REST_LIMIT_MS - 1);
  add("c");
  await turn();
  expect(names()).toEqual(["a"]);
  jest.advanceTimersByTime(1);
  await turn();
  expect(names()).toEqual(["a", "bc"]);
  jest.advanceTimersByTime(REST_LIMIT_MS);
  await turn();
  expect(names()).toHaveLength(2);
});

test("a batch that workers are done with no longer counts as under way, but keeps its slot until it ends", async () => {
  jest.useFakeTimers();
  const { add, gatherer, sent, names } = openGatherer({ slotCount: 2 });
  add("a", 6);
  await turn();
  sent[0]?.answered();
  add("b");
  await turn();
  expect(names()).toEqual(["a", "b"]);
  add("c");
  await turn();
  expect([gatherer.busySlots, names().length]).toEqual([2, 2]);
  await sent[0]?.end();
  expect(names()).toEqual(["a", "b", "c"]);
});

test("what ends after it was answered is not counted twice", async () => {
  jest.useFakeTimers();
  const { add, sent, names } = openGatherer({ slotCount: 2 });
  add("a", 6);
  await turn();
  sent[0]?.answered();
  await sent[0]?.end();
  add("b", 6);
  await turn();
  add("c");
  await turn();
  expect(names()).toEqual(["a", "b"]);
});

test("refusing for a reason turns the queue away with it, spares what is under way, and ends", async () => {
  const { add, gatherer, sent, names, refused } = await openBusy();
  add("a", 2);
  add("b", 3);
  gatherer.refuse("unavailable");
  expect(refused).toEqual([
    ["a", "unavailable"],
    ["b", "unavailable"],
  ]);
  expect<unknown>([gatherer.queued, gatherer.isRefusing]).toEqual([0, "unavailable"]);
  gatherer.refuse(undefined);
  expect(gatherer.isRefusing).toBeUndefined();
  add("c");
  await sent[0]?.end();
  expect(names()).toEqual(["x", "c"]);
});

test("draining refuses newcomers, and nobody who waits", async () => {
  const { add, gatherer, sent, names, refused } = await openBusy();
  add("a");
  gatherer.refuse("draining");
  expect(gatherer.isRefusing).toBe("draining");
  await sent[0]?.end();
  expect([names(), refused]).toEqual([["x", "a"], []]);
});

test("is drained when the last slot is free and nothing waits, not before", async () => {
  const { add, gatherer, sent } = await openBusy();
  add("a");
  const drained = watch(gatherer.drained());
  await sent[0]?.end();
  sent[1]?.answered();
  await turn();
  expect(drained.isOver).toBe(false);
  await sent[1]?.end();
  expect(drained.isOver).toBe(true);
});

test("is drained at once when nothing was taken", async () => {
  await openGatherer().gatherer.drained();
});
