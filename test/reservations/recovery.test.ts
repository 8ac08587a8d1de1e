import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import type { Outcome } from "../../src/reservations/outcome.ts";
import { watch } from "../runtime/rounds.ts";
import { answerOf, openBatcher, seat, turn, won } from "./worker.ts";

const RECOVERY_DEADLINE_MS = 5000;
const SETTLE_INTERVAL_MS = 250;

beforeEach(() => jest.useFakeTimers({ now: 0 }));
afterEach(() => jest.useRealTimers());

async function after(ms: number): Promise<void> {
  jest.advanceTimersByTime(ms);
  await turn();
}

const unavailable = (id: number): Outcome => ({ kind: "busy", seatId: seat(id), reason: "unavailable" });
const AWAY = "away";

/** Seats 1 and 2 in a batch whose answer is lost. */
async function openLost(how: "doubtful" | "dies" = "doubtful") {
  const opened = openBatcher();
  const asked = [1, 2].map(opened.ask);
  await turn();
  const batch = opened.last();
  await (how === "dies" ? batch.dies() : batch.answers("doubtful"));
  return { ...opened, asked, batch, outcomes: () => asked.map(({ outcome }) => outcome) };
}

describe("a batch whose answer was lost", () => {
  test.each(["doubtful", "dies"] as const)(
    "(%s) is looked up by its own ids before anybody is told",
    async (how) => {
      const { last, batch, outcomes } = await openLost(how);
      const orders = batch.reservationIds.map((reservationId, index) => ({
        ...{ reservationId, seatIds: [seat(index + 1)] },
      }));
      expect(last().task).toEqual({ kind: "settle", giveBack: false, orders });
      expect(outcomes()).toEqual([undefined, undefined]);
    },
  );

  test("is told truly: who was committed has won, who was not may try again", async () => {
    const { last, batch, outcomes } = await openLost();
    await last().answers({ versions: [null, 7] });
    const [, reservationId = ""] = batch.reservationIds;
    expect(outcomes()).toEqual([
      unavailable(1),
      { kind: "won", seatId: seat(2), reservationId, version: 7, final: false },
    ]);
  });

  test("gives nothing back that its buyers hear of", async () => {
    const { last, changed, freed } = await openLost();
    await last().answers({ versions: [1, 1] });
    expect(freed()).toEqual([]);
    expect(changed).toEqual([
      [1, 1, "reserved", false],
      [2, 1, "reserved", false],
    ]);
  });

  test("asks for a look at the database, once", async () => {
    const { troubles, last } = await openLost();
    await last().answers({ versions: [1, 1] });
    expect(troubles).toEqual(["doubtful"]);
  });

  test("keeps its seats in flight and its slot taken until it is settled, which bounds the doubt", async () => {
    const { ask, batcher, last, seatsSent } = await openLost();
    expect(ask(1).outcome).toMatchObject({ kind: "taken", reason: "contended" });
    ask(3);
    await turn();
    expect(batcher.busySlots).toBe(1);
    expect(seatsSent()).toEqual([
      [1, 2],
      [1, 2],
    ]);
    await last().answers({ versions: [null, null] });
    expect(seatsSent()[2]).toEqual([3]);
  });

  test("does not keep later requests waiting: they leave at once by a slot that is free", async () => {
    const { ask, last, seatsSent } = openBatcher({ slotCount: 2 });
    for (const id of [1, 2, 3]) ask(id);
    await turn();
    await last().answers("doubtful");
    ask(4);
    await turn();
    expect(seatsSent().at(-1)).toEqual([4]);
  });

  test.each(["answers away", "dies"])("is looked up again and again when the look-up %s", async (how) => {
    const { last, sent, outcomes } = await openLost();
    for (let time = 1; time <= 3; time++) {
      await (how === "dies" ? last().dies() : last().answers(AWAY));
      expect(sent.length).toBe(1 + time);
      await after(SETTLE_INTERVAL_MS);
    }
    expect(outcomes()).toEqual([undefined, undefined]);
    await last().answers({ versions: [1, 1] });
    expect(outcomes().map((outcome) => outcome?.kind)).toEqual(["won", "won"]);
  });

  test("does not let draining end before it is settled", async () => {
    const { batcher, last } = await openLost();
    const drained = watch(batcher.drained());
    await turn();
    expect(drained.isOver).toBe(false);
    await last().answers({ versions: [null, null] });
    expect(drained.isOver).toBe(true);
  });
});

describe("a doubt that lasts past its deadline", () => {
  /** The database stays away until just past the deadline. */
  async function openLongLost() {
    const doubt = await openLost();
    await after(RECOVERY_DEADLINE_MS + 1);
    await doubt.last().answers(AWAY);
    return doubt;
  }

  test("is told as unavailable, and not a moment before", async () => {
    const { last, outcomes } = await openLost();
    await after(RECOVERY_DEADLINE_MS - SETTLE_INTERVAL_MS);
    await last().answers(AWAY);
    expect(outcomes()).toEqual([undefined, undefined]);
    await after(SETTLE_INTERVAL_MS + 1);
    await last().answers(AWAY);
    expect(outcomes()).toEqual([unavailable(1), unavailable(2)]);
  });

  test("notes its reservations once, for the process that settles them if this one cannot", async () => {
    const { batch, last, unresolved } = await openLongLost();
    expect(unresolved).toEqual([["began", batch.reservationIds]]);
    await after(SETTLE_INTERVAL_MS);
    await last().answers(AWAY);
    expect(unresolved).toEqual([["began", batch.reservationIds]]);
  });

  test("says when it is settled, so that nobody else need", async () => {
    const { batch, last, unresolved } = await openLongLost();
    await after(SETTLE_INTERVAL_MS);
    await last().answers({ versions: [1, null] });
    const { reservationIds } = batch;
    expect(unresolved).toEqual([
      ["began", reservationIds],
      ["ended", reservationIds],
    ]);
  });

  test("leaves no word of holds, which end by themselves", async () => {
    const { askToHold, last, unresolved } = openBatcher();
    askToHold([1, 2]);
    await turn();
    await last().answers("doubtful");
    await after(RECOVERY_DEADLINE_MS + 1);
    await last().answers(AWAY);
    expect(unresolved).toEqual([["began", []]]);
  });

  test("asks from then on that what was committed is given back", async () => {
    const { last } = await openLongLost();
    await after(SETTLE_INTERVAL_MS);
    expect(last()).toMatchObject({ task: { kind: "settle", giveBack: true }, seatIds: [1, 2] });
  });

  test("keeps its seats in flight until they are given back, then they can be asked for again", async () => {
    const { ask, last, seatsSent } = await openLongLost();
    expect(ask(1).outcome).toMatchObject({ kind: "taken", reason: "contended" });
    await after(SETTLE_INTERVAL_MS);
    await last().answers({ versions: [1, null] });
    ask(1);
    await turn();
    expect(seatsSent().at(-1)).toEqual([1]);
  });

  test("tells the other processes which seats are free again, and at which version", async () => {
    const { last, freed } = await openLongLost();
    await after(SETTLE_INTERVAL_MS);
    await last().answers({ versions: [null, 7] });
    expect(freed()).toEqual([[2, 8]]);
  });

  test("does not change what the clients were told, when it ends", async () => {
    const { last, outcomes } = await openLongLost();
    await after(SETTLE_INTERVAL_MS);
    await last().answers({ versions: [1, 1] });
    expect(outcomes()).toEqual([unavailable(1), unavailable(2)]);
  });

  test("does not leave a seat gone in memory that was given back: somebody read it meanwhile", async () => {
    const { ask, last, memory, seatsSent } = await openLongLost();
    await after(SETTLE_INTERVAL_MS);
    // What a catch-up read, or a peer that met the committed seat, says while it is not yet given back.
    memory.learn(1, 1, "reserved", true);
    await last().answers({ versions: [1, null] });
    ask(1);
    await turn();
    expect(seatsSent().at(-1)).toEqual([1]);
  });
});

test("a thread that dies takes nobody's answer along, whatever else is under way", async () => {
  const { ask, sent } = openBatcher({ slotCount: 2 });
  const first = ask(1);
  await turn();
  const second = ask(2);
  await turn();
  await sent[0]?.dies();
  await sent[1]?.answers(answerOf([won()]));
  expect([first.outcome, second.outcome?.kind]).toEqual([undefined, "won"]);
  await sent[2]?.answers({ versions: [1] });
  expect(first.outcome?.kind).toBe("won");
});
