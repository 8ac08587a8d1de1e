import { afterEach, describe, expect, jest, test } from "bun:test";
import type { Outcome } from "../../src/reservations/outcome.ts";
import { answerOf, lost, openBatcher, type SeatAnswer, seat, turn, undecided, won } from "./worker.ts";

afterEach(() => jest.useRealTimers());

const taken = (id: number, reason: "reserved" | "held" | "contended"): Outcome => ({
  kind: "taken",
  seatId: seat(id),
  reason,
});
const busy = (id: number, reason: "overloaded" | "unavailable" | "draining"): Outcome => ({
  kind: "busy",
  seatId: seat(id),
  reason,
});
const contended = lost("contended");

describe("gathering", () => {
  test("a request that finds a free slot leaves alone, and at once", async () => {
    const { ask, seatsSent } = openBatcher();
    ask(1);
    await turn();
    expect(seatsSent()).toEqual([[1]]);
  });

  test("requests of one moment share a batch even when every slot is free", async () => {
    const { ask, seatsSent } = openBatcher({ slotCount: 3 });
    for (const id of [3, 1, 2]) ask(id);
    await turn();
    expect(seatsSent()).toEqual([[3, 1, 2]]);
  });

  test("what waits for company leaves with the next batch that ends, however little it is", async () => {
    const { ask, seatsSent, last } = openBatcher({ slotCount: 2 });
    for (const id of [1, 2, 3]) ask(id);
    await turn();
    ask(4);
    await last().answers(answerOf([won(), won(), won()]));
    expect(seatsSent()[1]).toEqual([4]);
  });

  test("each seat is sent with the version that memory knows, and -1 where it knows none", async () => {
    const { ask, memory, last } = openBatcher();
    memory.learn(1, 4, "available", false);
    ask(1);
    ask(2);
    await turn();
    expect(last().task).toMatchObject({
      kind: "take",
      orders: [
        { isHold: false, seats: [{ seatId: 1, version: 4 }] },
        { isHold: false, seats: [{ seatId: 2, version: -1 }] },
      ],
    });
  });

  test("each request has a reservation id of its own, and the winner hears that very id", async () => {
    const { ask, last } = openBatcher();
    const first = ask(1);
    const second = ask(2);
    await turn();
    const { reservationIds, answers } = last();
    await answers(answerOf([won(), won()]));
    expect(new Set(reservationIds).size).toBe(2);
    const heard = [first, second].map(({ outcome }) => outcome?.kind === "won" && outcome.reservationId);
    expect(heard).toEqual(reservationIds);
    for (const id of reservationIds) expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab]/);
  });
});

describe("a seat in flight", () => {
  test("is contended for everybody else, at once, in the queue and with a worker", async () => {
    const { ask, seatsSent } = openBatcher();
    ask(1);
    expect(ask(1)).toEqual({ atOnce: true, outcome: taken(1, "contended") });
    await turn();
    expect(ask(1)).toEqual({ atOnce: true, outcome: taken(1, "contended") });
    expect(seatsSent()).toEqual([[1]]);
  });

  test("can be asked for again as soon as it has its answer", async () => {
    const { decide, ask, seatsSent } = openBatcher();
    await decide(1, undecided);
    ask(1);
    await turn();
    expect(seatsSent()).toEqual([[1], [1]]);
  });
});

describe("memory", () => {
  test("answers for a seat that was won for good, without a worker", async () => {
    const { decide, ask, sent } = openBatcher();
    await decide(1, won(1, true));
    expect(ask(1)).toEqual({ atOnce: true, outcome: taken(1, "reserved") });
    expect(sent.length).toBe(1);
  });

  test("answers for a seat that the database called reserved for good", async () => {
    const { decide, ask } = openBatcher();
    await decide(1, lost("reserved", 3, true));
    expect(ask(1)).toEqual({ atOnce: true, outcome: taken(1, "reserved") });
  });

  test("answers nobody by itself while changes of other processes may be missed", async () => {
    const { ask, memory, trust, seatsSent } = openBatcher();
    memory.learn(1, 1, "reserved", true);
    trust.memory = false;
    expect(ask(1).atOnce).toBe(false);
    await turn();
    expect(seatsSent()).toEqual([[1]]);
  });

  test.each<[string, SeatAnswer]>([
    ["won where the event cancels", won(1, false)],
    ["reserved where the event cancels", lost("reserved", 3)],
    ["held", lost("held", 3, true)],
    ["contended", lost("contended", 3, true)],
    ["missing", lost("missing", null)],
    ["undecided", undecided],
  ])("never answers for a seat that was %s: it can become free", async (_what, answer) => {
    const { decide, ask, seatsSent } = openBatcher();
    await decide(1, answer);
    ask(1);
    await turn();
    expect(seatsSent()).toEqual([[1], [1]]);
  });

  test("keeps the version that an answer told, for the next request", async () => {
    const { decide, ask, last } = openBatcher();
    await decide(1, lost("held", 6));
    ask(1);
    await turn();
    expect(last().task).toMatchObject({ orders: [{ seats: [{ version: 6 }] }] });
  });
});

describe("an answered batch", () => {
  test("tells each client its own outcome; one request's trouble is not its batch's", async () => {
    const { ask, last } = openBatcher();
    const asked = [1, 2, 3].map(ask);
    await turn();
    await last().answers(answerOf([lost("reserved"), undecided, won(4)]));
    const reservationId = last().reservationIds[2] ?? "";
    expect(asked.map(({ outcome }) => outcome)).toEqual([
      taken(1, "reserved"),
      busy(2, "unavailable"),
      { kind: "won", seatId: seat(3), reservationId, version: 4, final: false },
    ]);
  });

  test("that does not fit its batch is as good as lost: the database is asked what was done", async () => {
    const { ask, last } = openBatcher();
    const asked = [1, 2].map(ask);
    await turn();
    await last().answers(answerOf([won()]));
    expect([asked[0]?.outcome, asked[1]?.outcome]).toEqual([undefined, undefined]);
    expect(last().task).toMatchObject({ kind: "settle", giveBack: false });
  });

  test("is told to the observer with its results and its longest wait", async () => {
    const { decide, ask, decided } = openBatcher();
    ask(1);
    await decide(2, won(), contended);
    expect(decided).toHaveLength(1);
    expect(decided[0]?.answer.orders).toEqual([[won()], [contended]]);
    expect(decided[0]?.requests.map(({ result }) => result)).toEqual(["won", "taken"]);
    expect(decided[0]?.queuedMs).toBeGreaterThanOrEqual(0);
  });

  test("that found the database away asks for a look at it", async () => {
    const { ask, last, troubles } = openBatcher();
    ask(1);
    await turn();
    await last().answers(answerOf([undecided], { databaseAway: true }));
    expect(troubles).toEqual(["away"]);
  });
});

describe("at the limit of the queue", () => {
  test("one more request is refused at once as overloaded, and nobody's place is lost", async () => {
    const { ask, last, seatsSent } = openBatcher({ queueLimitSeats: 2 });
    ask(1);
    await turn();
    ask(2);
    ask(3);
    expect(ask(4)).toEqual({ atOnce: true, outcome: busy(4, "overloaded") });
    await last().answers(answerOf([won()]));
    expect(seatsSent()).toEqual([[1], [2, 3]]);
    ask(4);
    await last().answers(answerOf([won(), won()]));
    expect(seatsSent()[2]).toEqual([4]);
  });
});

describe("refusing", () => {
  test("while the database is unavailable answers the queue and every newcomer at once, and spares who is with a worker", async () => {
    const { ask, batcher, last } = openBatcher();
    const first = ask(1);
    await turn();
    const queued = ask(2);
    batcher.refuse("unavailable");
    await turn();
    expect(queued.outcome).toEqual(busy(2, "unavailable"));
    expect(ask(3)).toEqual({ atOnce: true, outcome: busy(3, "unavailable") });
    expect(first.outcome).toBeUndefined();
    await last().answers(answerOf([won()]));
    expect(first.outcome?.kind).toBe("won");
  });

  test("while draining takes nobody new, and finishes who was accepted", async () => {
    const { ask, batcher, last } = openBatcher();
    const first = ask(1);
    await turn();
    const queued = ask(2);
    batcher.refuse("draining");
    expect(ask(3)).toEqual({ atOnce: true, outcome: busy(3, "draining") });
    await last().answers(answerOf([won()]));
    await last().answers(answerOf([won()]));
    expect([first.outcome?.kind, queued.outcome?.kind]).toEqual(["won", "won"]);
  });

  test("still says of a seat that is gone that it is gone", () => {
    const { ask, batcher, memory } = openBatcher();
    memory.learn(1, 1, "reserved", true);
    batcher.refuse("unavailable");
    expect(ask(1).outcome).toEqual(taken(1, "reserved"));
  });
});
