import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import type { HoldOutcome } from "../../src/reservations/outcome.ts";
import { answerOf, factsOf, heldSeat, lost, openBatcher, seat, turn, undecided, won } from "./worker.ts";

const RECOVERY_DEADLINE_MS = 5000;
const SETTLE_INTERVAL_MS = 250;

const KEY = { scope: "somebody", key: "k-1", fingerprint: "f" };
const unavailable: HoldOutcome = { kind: "busy", reason: "unavailable" };
const taken = (reason: "reserved" | "contended", ...ids: number[]): HoldOutcome => ({
  kind: "taken",
  seats: ids.map((id) => ({ seatId: seat(id), reason })),
});

describe("a hold", () => {
  test("is one order of the next batch with all of its seats, beside those of others", async () => {
    const { ask, askToHold, memory, last } = openBatcher();
    memory.learn(4, 6, "available", false);
    ask(9);
    askToHold([5, 4]);
    askToHold([7]);
    await turn();
    const seatOf = (seatId: number, version = -1) => ({ seatId, version });
    expect(last().task).toMatchObject({
      kind: "take",
      orders: [
        { isHold: false, seats: [seatOf(9)] },
        { isHold: true, seats: [seatOf(5), seatOf(4, 6)] },
        { isHold: true, seats: [seatOf(7)] },
      ],
    });
    expect(new Set(last().reservationIds).size).toBe(3);
  });

  test("that was won tells its facts, under the reservation's id that was sent", async () => {
    const { askToHold, last } = openBatcher();
    const asked = askToHold([5, 4]);
    await turn();
    await last().answers(answerOf([heldSeat(), heldSeat()]));
    const [reservationId = ""] = last().reservationIds;
    expect(asked.outcome).toEqual({ kind: "held", facts: factsOf(reservationId, [5, 4]) });
  });

  test("has no seat when one is not to be had, and memory knows what each was", async () => {
    const { askToHold, memory, last, changed } = openBatcher();
    const asked = askToHold([1, 2, 3]);
    await turn();
    await last().answers(answerOf([lost("free", 4), lost("reserved", 5, true), lost("free", 2)]));
    expect(asked.outcome).toEqual(taken("reserved", 2));
    expect([1, 2, 3].map((id) => memory.versionOf(id))).toEqual([4, 5, 2]);
    expect([memory.isAvailable(1), memory.isGone(2), memory.isAvailable(3)]).toEqual([true, true, true]);
    expect(changed).toEqual([]);
  });

  test("is told to memory and to others as held, which is never for good", async () => {
    const { ask, askToHold, last, memory, changed } = openBatcher();
    askToHold([1, 2]);
    await turn();
    await last().answers(answerOf([heldSeat(3), { ...heldSeat(8), final: true }]));
    expect(changed).toEqual([
      [1, 3, "held", false],
      [2, 8, "held", false],
    ]);
    expect([memory.isGone(2), memory.isAvailable(2)]).toEqual([false, false]);
    expect(ask(2).atOnce).toBe(false);
  });

  test("counts in the metrics once, however many seats it has", async () => {
    const { ask, askToHold, last, decided } = openBatcher();
    askToHold([1, 2]);
    ask(3);
    askToHold([4, 5]);
    askToHold([6]);
    await turn();
    await last().answers(
      answerOf([heldSeat(), heldSeat(), won(), lost("held"), lost("free"), lost("missing", null)]),
    );
    expect(decided[0]?.requests.map(({ result }) => result)).toEqual(["won", "won", "taken", "failed"]);
    expect(decided[0]?.seatCount).toBe(6);
  });

  test("weighs as many as its seats in batch and queue", async () => {
    const { ask, askToHold, batcher, last, seatsSent } = openBatcher({
      batchLimitSeats: 4,
      queueLimitSeats: 5,
    });
    ask(99);
    await turn();
    askToHold([1, 2, 3]);
    expect(batcher.queueSeats).toBe(3);
    askToHold([4, 5]);
    expect(askToHold([6])).toEqual({ atOnce: true, outcome: { kind: "busy", reason: "overloaded" } });
    await last().answers(answerOf([won()]));
    expect(seatsSent()).toEqual([[99], [1, 2, 3]]);
  });

  test("is refused with the reason while the database is unavailable, from the queue too", async () => {
    const { ask, askToHold, batcher } = openBatcher();
    ask(9);
    await turn();
    const queued = askToHold([1, 2], { buyerId: "b" });
    batcher.refuse("unavailable");
    expect(askToHold([3])).toEqual({ atOnce: true, outcome: unavailable });
    await turn();
    expect(queued.outcome).toEqual(unavailable);
    batcher.refuse(undefined);
    expect(askToHold([1, 2], { buyerId: "b" }).atOnce).toBe(false);
  });
});

describe("memory", () => {
  test("answers for seats that are gone for good, and names only those", () => {
    const { askToHold, memory } = openBatcher();
    memory.learn(2, 1, "reserved", true);
    expect(askToHold([1, 2, 3])).toEqual({ atOnce: true, outcome: taken("reserved", 2) });
  });

  test("answers nobody by itself while changes of other processes may be missed", () => {
    const { askToHold, memory, trust } = openBatcher();
    memory.learn(2, 1, "reserved", true);
    trust.memory = false;
    expect(askToHold([1, 2]).atOnce).toBe(false);
  });

  test("answers nobody with a key: it may have been answered before the seats were gone", async () => {
    const { askToHold, memory, last } = openBatcher();
    memory.learn(2, 1, "reserved", true);
    const asked = askToHold([2], { key: KEY });
    expect(asked.atOnce).toBe(false);
    await turn();
    await last().answers(answerOf([lost("replayed")]));
    expect(asked.outcome).toEqual({ kind: "replayed" });
  });

  test("answers nobody for seats that are held or can be cancelled", () => {
    const { askToHold, memory } = openBatcher();
    memory.learn(1, 1, "held", false);
    memory.learn(2, 1, "reserved", false);
    expect(askToHold([1, 2]).atOnce).toBe(false);
  });
});

describe("what is in flight", () => {
  test("is contended for a hold of it, at once, and the hold's other seats stay free for others", async () => {
    const { ask, askToHold, batcher } = openBatcher();
    ask(2);
    expect(askToHold([1, 2, 3])).toEqual({ atOnce: true, outcome: taken("contended", 2) });
    expect([1, 3].map((id) => batcher.isInFlight(seat(id)))).toEqual([false, false]);
    await turn();
    expect(askToHold([2])).toEqual({ atOnce: true, outcome: taken("contended", 2) });
  });

  test("are all seats of a hold, until its answer", async () => {
    const { ask, askToHold, last } = openBatcher();
    askToHold([1, 2]);
    expect(ask(2).outcome).toEqual({ kind: "taken", seatId: seat(2), reason: "contended" });
    await turn();
    await last().answers(answerOf([undecided, undecided]));
    expect([ask(1).atOnce, ask(2).atOnce]).toEqual([false, false]);
  });

  test.each([
    ["buyer", { buyerId: "b" }, { buyerId: "other" }],
    ["key", { key: KEY }, { key: { ...KEY, key: "k-2" } }],
    ["key of one caller", { key: KEY }, { key: { ...KEY, scope: "another" } }],
  ])(
    "is the %s of a hold: the same is running, whatever its seats, another is not",
    async (_what, its, other) => {
      const { askToHold, last } = openBatcher();
      askToHold([1], its);
      expect(askToHold([2], its)).toEqual({ atOnce: true, outcome: { kind: "running" } });
      expect(askToHold([3], other).atOnce).toBe(false);
      expect(askToHold([4]).atOnce).toBe(false);
      await turn();
      await last().answers(answerOf([lost("held"), heldSeat(), heldSeat()]));
      expect(askToHold([2], its).atOnce).toBe(false);
    },
  );

  test("is not the key of a hold that was refused for the seats of another", async () => {
    const { ask, askToHold } = openBatcher();
    ask(1);
    askToHold([1], { key: KEY, buyerId: "b" });
    expect(askToHold([2], { key: KEY, buyerId: "b" }).atOnce).toBe(false);
  });

  test("goes along to be checked, for holds with a buyer or a key only", async () => {
    const { askToHold, last } = openBatcher();
    askToHold([1]);
    askToHold([2, 3], { buyerId: "b" });
    askToHold([4], { key: KEY });
    await turn();
    const { task } = last();
    expect(task.kind === "take" && task.orders.map(({ checks }) => checks)).toMatchObject([
      undefined,
      { buyerId: "b", key: null },
      { buyerId: null, key: KEY },
    ]);
  });
});

describe("a hold whose answer was lost", () => {
  beforeEach(() => jest.useFakeTimers({ now: 0 }));
  afterEach(() => jest.useRealTimers());

  async function openLost() {
    const opened = openBatcher();
    const reserved = opened.ask(9);
    const asked = opened.askToHold([5, 4], { buyerId: "b", key: KEY });
    await turn();
    const [, reservationId = ""] = opened.last().reservationIds;
    await opened.last().answers("doubtful");
    return { ...opened, reserved, asked, reservationId };
  }

  async function openLongLost() {
    const doubt = await openLost();
    jest.advanceTimersByTime(RECOVERY_DEADLINE_MS + 1);
    await doubt.last().answers("away");
    jest.advanceTimersByTime(SETTLE_INTERVAL_MS);
    await turn();
    return doubt;
  }

  test("and was committed is held, with the facts that the database has", async () => {
    const { asked, committed, reservationId, last, changed } = await openLost();
    expect(asked.outcome).toBeUndefined();
    const facts = factsOf(reservationId, [5, 4]);
    committed.set(reservationId, facts);
    await last().answers({ versions: [null, 3, 8] });
    expect(asked.outcome).toEqual({ kind: "held", facts });
    expect(changed).toEqual([
      [5, 3, "held", false],
      [4, 8, "held", false],
    ]);
  });

  test("and was not committed may be asked for again", async () => {
    const { asked, reserved, askToHold, last } = await openLost();
    await last().answers({ versions: [1, null, null] });
    expect(asked.outcome).toEqual(unavailable);
    expect(reserved.outcome?.kind).toBe("won");
    expect(askToHold([5, 4], { buyerId: "b", key: KEY }).atOnce).toBe(false);
  });

  test("and cannot be read back is unavailable, never held with made-up facts", async () => {
    const { asked, last } = await openLost();
    await last().answers({ versions: [null, 3, 8] });
    expect(asked.outcome).toEqual(unavailable);
  });

  test("keeps its buyer and its key in flight until it is settled", async () => {
    const { askToHold, last } = await openLost();
    expect(askToHold([1], { buyerId: "b" }).outcome).toEqual({ kind: "running" });
    expect(askToHold([1], { key: KEY }).outcome).toEqual({ kind: "running" });
    await last().answers({ versions: [null, null, null] });
    expect(askToHold([1], { buyerId: "b" }).atOnce).toBe(false);
  });

  test("is not given back past the deadline, when its neighbours are: it ends by itself", async () => {
    const { asked, reserved, committed, reservationId, memory, last, changed, freed } = await openLongLost();
    expect(asked.outcome).toEqual(unavailable);
    expect(reserved.outcome).toEqual({ kind: "busy", seatId: seat(9), reason: "unavailable" });
    committed.set(reservationId, factsOf(reservationId, [5, 4]));
    await last().answers({ versions: [1, 3, 8] });
    expect(freed()).toEqual([[9, 2]]);
    expect(changed).toContainEqual([5, 3, "held", false]);
    expect(memory.isAvailable(5)).toBe(false);
    expect(asked.outcome).toEqual(unavailable);
  });

  test("keeps no neighbour waiting while its facts are read, whose memory is right by then", async () => {
    const { ask, memory, committed, reservationId, last } = await openLongLost();
    // What a peer read while the seat was committed and not yet given back.
    memory.learn(9, 1, "reserved", true);
    let isAsked = false;
    committed.get = () => {
      isAsked = true;
      expect(ask(9).atOnce).toBe(false);
      return factsOf(reservationId, [5, 4]);
    };
    await last().answers({ versions: [1, 3, 8] });
    expect(isAsked).toBe(true);
  });
});
