import { describe, expect, test } from "bun:test";
import type { ReservationFacts } from "../../src/postgres/change.ts";
import type { SeatNow } from "../../src/postgres/seats.ts";
import { CheckedHolds } from "../../src/reservations/checked-holds.ts";
import type { HoldRequest } from "../../src/reservations/order.ts";
import type { HoldOutcome } from "../../src/reservations/outcome.ts";
import { answerOf, factsOf, heldSeat, lost, openBatcher, type SeatAnswer, seat, turn } from "./worker.ts";

const KEY = { scope: "somebody", key: "k-1", fingerprint: "f" };

/** Holds that are checked in a database which the test fills; memory knows seats 1 to 3, all free. */
function openChecked() {
  const opened = openBatcher();
  const { batcher, memory, sent, last } = opened;
  for (const id of [1, 2, 3]) memory.learn(id, 0, "available", false);
  const rows = new Map<number, SeatNow>();
  const replays = new Map<string, ReservationFacts | "key_mismatch">();
  const limits = { seatsLeft: 0 };
  /** The questions that the database was asked. */
  const questions: string[] = [];
  const holds = new CheckedHolds({
    ...{ batcher, memory },
    readSeats: async (seatIds) => {
      questions.push(`seats ${seatIds.join()}`);
      return seatIds.flatMap((seatId) => rows.get(seatId) ?? []);
    },
    findReplay: async ({ key }) => {
      questions.push(`key ${key}`);
      return replays.get(key);
    },
    isWithinLimit: async (buyerId, seatId, moreSeats) => {
      questions.push(`buyer ${buyerId} ${seatId} ${moreSeats}`);
      return moreSeats <= limits.seatsLeft;
    },
  });
  const store = (id: number, status: SeatNow["status"]) =>
    rows.set(id, { seatId: id, version: 1, status, final: status === "reserved" });
  const ask = async (ids: number[], more: Partial<HoldRequest> = {}) => {
    const asked: { outcome?: HoldOutcome } = {};
    void Promise.resolve(holds.hold({ seatIds: ids.map(seat), buyerId: null, key: null, ...more })).then(
      (outcome) => Object.assign(asked, { outcome }),
    );
    await turn();
    return asked;
  };
  const reservationId = () => last().reservationIds[0] ?? "";
  return { ...opened, sent, store, replays, limits, questions, ask, reservationId };
}

describe("a hold of several seats", () => {
  test("goes to the batcher without a question when memory knows them all to be free", async () => {
    const { ask, sent, questions } = openChecked();
    await ask([1, 2]);
    expect([sent.length, questions]).toEqual([1, []]);
  });

  test("asks the database only about the seats that memory does not know to be free", async () => {
    const { ask, sent, questions, store } = openChecked();
    store(8, "available");
    store(9, "available");
    await ask([1, 8, 9]);
    expect([sent.length, questions]).toEqual([1, ["seats 8,9"]]);
  });

  test.each<[string, number[], HoldOutcome]>([
    ["does not exist", [1, 7, 8], { kind: "missing", seatIds: [seat(7)] }],
    ["is held", [1, 9], { kind: "taken", seats: [{ seatId: seat(9), reason: "held" }] }],
    ["is reserved", [10, 1], { kind: "taken", seats: [{ seatId: seat(10), reason: "reserved" }] }],
  ])("is refused with nothing in flight when one of them %s", async (_what, ids, outcome) => {
    const { ask, sent, store } = openChecked();
    store(8, "available");
    store(9, "held");
    store(10, "reserved");
    const asked = await ask(ids);
    expect(asked.outcome).toEqual(outcome);
    expect(sent).toEqual([]);
  });
});

test("a hold of one seat that memory does not know goes to the batcher without a question", async () => {
  const { ask, sent, questions } = openChecked();
  await ask([99]);
  expect([sent.length, questions]).toEqual([1, []]);
});

describe("a key that was answered a moment ago", () => {
  test.each<[string, (reservationId: string) => ReservationFacts | "key_mismatch", HoldOutcome["kind"]]>([
    ["replayed", (reservationId) => factsOf(reservationId, [1]), "replayed"],
    ["refused as another request's", () => "key_mismatch", "key_mismatch"],
  ])("is %s from the database, with nothing in flight", async (_what, stored, kind) => {
    const { ask, sent, last, replays, questions, reservationId } = openChecked();
    await ask([1], { key: KEY });
    await last().answers(answerOf([heldSeat()]));
    replays.set(KEY.key, stored(reservationId()));
    const again = await ask([2], { key: KEY });
    expect(again.outcome).toEqual({ kind } as HoldOutcome);
    expect([sent.length, questions]).toEqual([1, ["key k-1"]]);
  });

  test.each<[SeatAnswer, string[]]>([
    [heldSeat(), ["key k-1"]],
    [lost("replayed"), ["key k-1"]],
    [lost("key_mismatch"), ["key k-1"]],
    [lost("held"), []],
  ])("is asked about only after an answer that is kept: %j", async (answer, asked) => {
    const { ask, sent, last, questions } = openChecked();
    await ask([1], { key: KEY });
    await last().answers(answerOf([answer]));
    await ask([2], { key: KEY });
    expect([sent.length, questions]).toEqual([2, asked]);
  });
});

describe("a buyer who was refused for having too many seats", () => {
  async function openWithFullBuyer() {
    const opened = openChecked();
    const refused = await opened.ask([1, 2], { buyerId: "ada" });
    await opened.last().answers(answerOf([lost("over_limit"), lost("over_limit")]));
    expect(refused.outcome).toEqual({ kind: "over_limit" });
    return opened;
  }

  test("is refused again with nothing in flight while the database says so", async () => {
    const { ask, sent, limits, questions } = await openWithFullBuyer();
    limits.seatsLeft = 1;
    const again = await ask([2, 3], { buyerId: "ada" });
    expect(again.outcome).toEqual({ kind: "over_limit" });
    expect([sent.length, questions]).toEqual([1, ["buyer ada 2 2"]]);
  });

  test("gets seats again as soon as the database allows them", async () => {
    const { ask, sent, limits } = await openWithFullBuyer();
    limits.seatsLeft = 2;
    await ask([2, 3], { buyerId: "ada" });
    expect(sent.length).toBe(2);
  });

  test("makes nobody else wait for a question", async () => {
    const { ask, sent, questions } = await openWithFullBuyer();
    await ask([2, 3], { buyerId: "bob" });
    expect([sent.length, questions]).toEqual([2, []]);
  });

  test("is asked about only after such a refusal", async () => {
    const { ask, sent, last, questions } = openChecked();
    await ask([1], { buyerId: "ada" });
    await last().answers(answerOf([lost("held")]));
    await ask([2], { buyerId: "ada" });
    expect([sent.length, questions]).toEqual([2, []]);
  });
});
