import { describe, expect, test } from "bun:test";
import type { ReservationFacts } from "../../src/postgres/change.ts";
import type { HoldResult } from "../../src/reservations/holds.ts";
import { openHouse } from "./house.ts";
import { answerOf, factsOf, heldSeat, lost, seat, turn, undecided } from "./worker.ts";

const ATTEMPT_LIMIT = 8;
const KEY = { scope: "somebody", key: "k-1", fingerprint: "f" };

const reservationOf = ({ last }: ReturnType<typeof openHouse>) => last().reservationIds[0] ?? "";

const best = (quantity: number, more: object = {}) => ({
  eventId: 1,
  bestAvailable: { quantity, sections: ["Stalls"], ...more },
});

describe("seats that the buyer has chosen", () => {
  test("are asked for as they stand, in their order", async () => {
    const house = openHouse();
    const asked = await house.decide({ seatIds: [7, 3] });
    expect(house.seatsSent()).toEqual([[7, 3]]);
    await house.answerAll(heldSeat());
    expect(asked.result).toEqual({ kind: "held", facts: factsOf(reservationOf(house), [7, 3]) });
  });

  test("are not chosen again when one is taken", async () => {
    const house = openHouse();
    const asked = await house.decide({ seatIds: [7, 3] });
    await house.last().answers(answerOf([lost("held"), lost("free", 0)]));
    expect(asked.result).toEqual({ kind: "taken", seats: [{ seatId: seat(7), reason: "held" }] });
    expect([house.sent.length, house.looks]).toEqual([1, []]);
  });

  test.each([
    ["are of two events", { seatIds: [1, 31] }, /^seatIds: must be seats of one event/],
    ["are of another event than eventId", { seatIds: [1, 2], eventId: 2 }, /^seatIds: .*event 1.*eventId 2/],
    ["are more than the event allows", { seatIds: [1, 2, 3] }, /^seatIds: .*event 1 has at most 2 seats/],
  ])("are unfit where they %s", async (_what, body, detail) => {
    const house = openHouse({ reservationLimitSeats: 2 });
    const asked = await house.decide(body);
    expect(asked.result).toEqual({ kind: "unfit", detail: expect.stringMatching(detail) });
    expect(house.sent).toEqual([]);
  });

  test("are the database's to judge where memory does not know them", async () => {
    const house = openHouse();
    const asked = await house.decide({ seatIds: [9999], eventId: 77 }, [lost("missing", null)]);
    expect(asked.result).toEqual({ kind: "missing", seatIds: [seat(9999)] });
  });

  test("carry the buyer to the statement, and the key", async () => {
    const house = openHouse();
    await house.decide({ seatIds: [1], buyerId: "b" }, [], KEY);
    expect(house.last().task).toMatchObject({ orders: [{ checks: { buyerId: "b", key: KEY } }] });
  });
});

describe("seats that the engine chooses", () => {
  test("are the next candidate when a race for the first was lost, in the same request", async () => {
    const house = openHouse();
    const asked = await house.decide(best(2));
    const [first = []] = house.seatsSent();
    await house.answerAll(lost("held"));
    expect(asked.result).toBeUndefined();
    const [, second = []] = house.seatsSent();
    expect(first.filter((seatId) => second.includes(seatId))).toEqual([]);
    await house.answerAll(heldSeat());
    expect(asked.result).toEqual({ kind: "held", facts: factsOf(reservationOf(house), second) });
  });

  test("are others also when the rival is still deciding, which memory does not hear of", async () => {
    const house = openHouse();
    await house.decide(best(2), [lost("contended")]);
    const [first = [], second = []] = house.seatsSent();
    expect(first.filter((seatId) => second.includes(seatId))).toEqual([]);
    expect(second).toHaveLength(2);
  });

  test("are never those in flight for somebody else here", async () => {
    const house = openHouse();
    house.askFor(best(4));
    await house.decide(best(4));
    expect(house.seatsSent().flat().sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map(seat));
  });

  test("are tried a bounded number of times, then the last race is told", async () => {
    const house = openHouse();
    const asked = house.askFor({ eventId: 1, bestAvailable: { quantity: 1 } });
    for (let attempt = 1; attempt <= ATTEMPT_LIMIT; attempt++) {
      await turn();
      expect(asked.result).toBeUndefined();
      await house.answerAll(lost("held"));
    }
    const tried = house.seatsSent().flat();
    expect(new Set(tried).size).toBe(ATTEMPT_LIMIT);
    expect(house.sent).toHaveLength(ATTEMPT_LIMIT);
    expect(asked.result).toMatchObject({ kind: "taken", seats: [{ seatId: tried.at(-1), reason: "held" }] });
  });

  test.each([
    ["the database cannot decide", undecided, "busy"],
    ["the event is closed", lost("closed"), "closed"],
    ["the event wants a name", lost("buyer_needed"), "closed"],
    ["the buyer has enough", lost("over_limit"), "over_limit"],
  ])("are not tried again when %s", async (_what, answer, kind) => {
    const house = openHouse();
    const asked = await house.decide(best(2), [answer]);
    expect([asked.result?.kind, house.sent.length]).toEqual([kind as never, 1]);
  });

  test("are sold out only when the database has been looked at, section by section, and memory still has none", async () => {
    const house = openHouse();
    for (let seatId = 1; seatId <= 14; seatId++) house.memory.learn(seatId, 1, "held", false);
    const asked = await house.decide({ eventId: 1, bestAvailable: { quantity: 2 } });
    expect(asked.result).toEqual({ kind: "none" });
    expect([house.looks.toSorted(), house.sent.length]).toEqual([["Circle", "Stalls"], 0]);
  });

  test("are not sold out while somebody decides on the last of them, and may yet lose them", async () => {
    const house = openHouse();
    for (let seatId = 23; seatId <= 26; seatId++) house.memory.learn(seatId, 1, "held", false);
    const floor = { eventId: 1, section: "Floor" };
    await house.decide({ ...floor, quantity: 2 });
    const asked = await house.decide({ ...floor, quantity: 1 });
    expect(asked.result).toEqual({ kind: "taken", seats: [{ seatId: seat(21), reason: "contended" }] });
    const tooMany = house.askFor({ ...floor, quantity: 3 });
    await turn();
    expect([tooMany.result, house.looks.length]).toEqual([{ kind: "none" }, 2]);
  });

  test("are found by that look where memory was old", async () => {
    const house = openHouse();
    for (let seatId = 1; seatId <= 8; seatId++) house.memory.learn(seatId, 1, "held", false);
    house.database.look = async () => {
      for (const seatId of [3, 4]) house.memory.learn(seatId, 2, "available", false);
    };
    const asked = await house.decide(best(2));
    const seats = [3, 4].map((seatId) => ({ seatId, version: 2 }));
    expect(house.last().task).toMatchObject({ orders: [{ seats }] });
    await house.answerAll(heldSeat());
    expect([asked.result?.kind, house.looks]).toEqual(["held", ["Stalls"]]);
  });

  test("are looked for in the database once a wish, though its races go on", async () => {
    const house = openHouse();
    for (let seatId = 3; seatId <= 8; seatId++) house.memory.learn(seatId, 1, "held", false);
    const asked = await house.decide(best(2), [lost("held")]);
    expect([asked.result, house.looks]).toEqual([{ kind: "none" }, ["Stalls"]]);
  });

  test("make the request fail where that look cannot be had: nobody is told sold out", async () => {
    const house = openHouse();
    for (let seatId = 1; seatId <= 8; seatId++) house.memory.learn(seatId, 1, "held", false);
    house.database.look = () => Promise.reject(new Error("the database cannot be asked"));
    const asked = await house.decide(best(2));
    expect([asked.result, String(asked.error)]).toEqual([undefined, "Error: the database cannot be asked"]);
  });

  test("are places of general admission by section and quantity", async () => {
    const house = openHouse();
    const asked = await house.decide({ eventId: 1, section: "Floor", quantity: 3 });
    const [places = []] = house.seatsSent();
    expect(new Set(places).size).toBe(3);
    for (const place of places) expect(place).toBeWithin(21, 27);
    await house.answerAll(heldSeat());
    expect(asked.result?.kind).toBe("held");
  });

  test("are of an event that is there", async () => {
    const asked = await openHouse().decide({ eventId: 9, section: "Floor", quantity: 1 });
    expect(asked.result).toEqual({ kind: "no_event", eventId: 9 });
  });

  test.each([
    ["quantity", { section: "Floor", quantity: 3 }],
    ["bestAvailable.quantity", { bestAvailable: { quantity: 3 } }],
  ])("are no more than the event allows, and the field is named: %s", async (field, wish) => {
    const asked = await openHouse({ reservationLimitSeats: 2 }).decide({ eventId: 1, ...wish });
    expect(asked.result).toEqual({
      kind: "unfit",
      detail: `${field}: a reservation of event 1 has at most 2 seats.`,
    });
  });
});

describe("preferences", () => {
  const either = { preferences: [{ seatIds: [1] }, { seatIds: [2] }, { seatIds: [3] }] };

  test("are tried in their order, and the first that can be had wins", async () => {
    const house = openHouse();
    const asked = await house.decide(either, [lost("reserved"), heldSeat()]);
    expect(house.seatsSent()).toEqual([[1], [2]]);
    expect(asked.result).toEqual({ kind: "held", facts: factsOf(reservationOf(house), [2]) });
  });

  test("none of which can be had are told by the refusal of the first", async () => {
    const house = openHouse();
    const asked = await house.decide(either);
    for (const verdict of ["held", "reserved", "contended"] as const) await house.answerAll(lost(verdict));
    expect(house.sent).toHaveLength(3);
    expect(asked.result).toEqual({ kind: "taken", seats: [{ seatId: seat(1), reason: "held" }] });
  });

  test("go on behind a search that found nothing, and behind a limit that fewer seats may keep", async () => {
    const house = openHouse();
    for (let seatId = 1; seatId <= 8; seatId++) house.memory.learn(seatId, 1, "held", false);
    const asked = house.askFor({
      eventId: 1,
      preferences: [best(2), { seatIds: [11, 12] }, { seatIds: [13] }].map(
        ({ eventId: _, ...wish }: object & { eventId?: number }) => wish,
      ),
    });
    await turn();
    await house.answerAll(lost("over_limit"));
    await house.answerAll(heldSeat());
    expect(house.seatsSent()).toEqual([[11, 12], [13]]);
    expect(asked.result?.kind).toBe("held");
  });

  test("end with what no other preference can change", async () => {
    const house = openHouse();
    const asked = await house.decide(either, [undecided]);
    expect([asked.result, house.sent.length]).toEqual([{ kind: "busy", reason: "unavailable" }, 1]);
  });

  test("name the one that does not fit", async () => {
    const house = openHouse();
    const asked = house.askFor({
      eventId: 1,
      preferences: [{ seatIds: [1] }, { section: "Balcony", quantity: 1 }],
    });
    await turn();
    expect(house.sent).toEqual([]);
    expect(asked.result).toEqual({
      kind: "unfit",
      detail: 'preferences.1.section: there is no "Balcony" in event 1.',
    });
  });
});

describe("a key", () => {
  const first = factsOf("first", [1]);
  const replay: HoldResult = { kind: "replay", facts: first };
  const taken: HoldResult = { kind: "taken", seats: [{ seatId: seat(1), reason: "reserved" }] };

  test.each<[string, Parameters<typeof lost>[0], HoldResult, ReservationFacts | undefined]>([
    ["that was answered is answered so again", "replayed", replay, first],
    ["that was answered is answered so again, though its seats are reserved", "reserved", replay, first],
    ["that was answered is answered so again, though its seats are held", "held", replay, first],
    ["that was not answered leaves a refusal what it is", "reserved", taken, undefined],
    ["whose answer cannot be read yet is running", "replayed", { kind: "running" }, undefined],
    ["of another request tells nothing of the first answer", "key_mismatch", { kind: "key_mismatch" }, first],
  ])("%s", async (_what, verdict, result, facts) => {
    const house = openHouse();
    if (facts) house.replays.set(KEY.key, facts);
    const asked = await house.decide({ seatIds: [1] }, [lost(verdict)], KEY);
    expect(asked.result).toEqual(result);
  });

  test("that was answered before is answered so again, where nothing is free now", async () => {
    const house = openHouse();
    for (let seatId = 1; seatId <= 8; seatId++) house.memory.learn(seatId, 1, "held", false);
    house.replays.set(KEY.key, factsOf("first", [1, 2]));
    const asked = await house.decide(best(2), [], KEY);
    expect(asked.result).toEqual({ kind: "replay", facts: factsOf("first", [1, 2]) });
  });

  test("that was answered before is answered so again, where the event allows fewer now", async () => {
    const house = openHouse({ reservationLimitSeats: 1 });
    house.replays.set(KEY.key, factsOf("first", [1, 2]));
    const asked = await house.decide({ seatIds: [1, 2] }, [], KEY);
    expect(asked.result).toEqual({ kind: "replay", facts: factsOf("first", [1, 2]) });
  });
});
