import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { type ChangeAction, commitChanges, type ReservationChange } from "../../src/postgres/change.ts";
import { settle } from "../../src/postgres/settle.ts";
import { createLog, FaultLog } from "../../src/telemetry/log.ts";
import { change as changeBatch } from "../../workers/change.ts";
import { expectSound } from "../fixtures/sound.ts";
import {
  addEvent,
  addSeatsOf,
  age,
  change,
  changeOf,
  endOf,
  pictureOf,
  reservationOf,
  taken,
} from "./reservations.ts";
import { openSale, type Sale } from "./sale.ts";

const ACTIONS = ["confirm", "release", "extend", "cancel", "expire"] as const;

let sale: Sale;
let eventId: number;
beforeAll(async () => {
  sale = await openSale();
  eventId = await addEvent(sale);
});
afterEach(async () => {
  await sale.endSessions();
  await expectSound(sale.url);
});
afterAll(() => sale.close());

const freeSeats = (count: number) => addSeatsOf(sale, eventId, count);
const did = async (reservationId: string, action: ChangeAction) =>
  change(await sale.session(), reservationId, action);

async function held(seatIds: number[], ageBy = "1 minute"): Promise<string> {
  const reservationId = await taken(sale, seatIds);
  await age(sale, reservationId, ageBy);
  return reservationId;
}
const over = (seatIds: number[]) => held(seatIds, "1 hour");

/** A reservation in each state. */
const states: Record<string, (seatIds: number[]) => Promise<string>> = {
  held,
  over,
  confirmed: (seatIds) => taken(sale, seatIds, { isHold: false }),
  released: async (seatIds) => {
    const reservationId = await held(seatIds);
    await did(reservationId, "release");
    return reservationId;
  },
  expired: async (seatIds) => {
    const reservationId = await over(seatIds);
    await did(reservationId, "expire");
    return reservationId;
  },
  cancelled: async (seatIds) => {
    const reservationId = await taken(sale, seatIds, { isHold: false });
    await did(reservationId, "cancel");
    return reservationId;
  },
  void: async (seatIds) => {
    const reservationId = Bun.randomUUIDv7();
    await settle(drizzle(sale.pool), [{ reservationId, seatIds }]);
    return reservationId;
  },
  missing: async () => Bun.randomUUIDv7(),
};

/** What each action comes to from the states that allow it. */
const outcomes = {
  confirm: { from: ["held", "over", "expired"], seat: "reserved", row: "RESERVED", reservation: "confirmed" },
  release: { from: ["held"], seat: "available", row: "RELEASED", reservation: "released" },
  extend: { from: ["held"], seat: "held", row: "EXTENDED", reservation: "held" },
  cancel: { from: ["confirmed"], seat: "available", row: "CANCELLED", reservation: "cancelled" },
  expire: { from: ["over"], seat: "available", row: "EXPIRED", reservation: "expired" },
};

describe.each(ACTIONS)("to %s", (action) => {
  const outcome = outcomes[action];

  test.each(outcome.from)(
    "a reservation that is %s is one change, one version and one row a seat",
    async (state) => {
      const seatIds = (await freeSeats(2)).reverse();
      const reservationId = await states[state]?.(seatIds);
      if (!reservationId) throw new Error(`no state ${state}`);
      const { seats: before } = await pictureOf(sale, reservationId, seatIds);
      const answer = await did(reservationId, action);

      const version = (before[0]?.version ?? 0) + 1;
      expect(answer).toMatchObject({
        verdict: "done",
        status: state === "over" ? "expired" : state,
        gone: null,
      });
      expect(answer.seats.toSorted()).toEqual(
        seatIds.map((seatId) => [seatId, version] as [number, number]).toSorted(),
      );
      const after = await pictureOf(sale, reservationId, seatIds);
      const owner = outcome.seat === "available" ? null : reservationId;
      expect(after.seats).toEqual(Array(2).fill({ status: outcome.seat, version, reservationId: owner }));
      expect(after.ledgers.map((rows) => rows.at(-1))).toMatchObject(
        Array(2).fill({ version, status: outcome.row, reservationId, replaces: null }),
      );
      expect(after.reservation).toMatchObject({ status: outcome.reservation, seatIds });
      if (action === "expire") expect(answer.facts).toBeNull();
      else
        expect(answer.facts).toMatchObject({
          reservationId,
          eventId,
          seatIds,
          pricesMinor: [15_002, 15_001],
        });
    },
  );

  test.each(Object.keys(states).filter((state) => !outcome.from.includes(state)))(
    "a reservation that is %s is refused and changes nothing",
    async (state) => {
      const seatIds = await freeSeats(2);
      const reservationId = (await states[state]?.(seatIds)) ?? "";
      const before = await pictureOf(sale, reservationId, seatIds);
      const answer = await did(reservationId, action);
      expect(answer).toMatchObject(
        state === "void" || state === "missing"
          ? { verdict: "missing", status: null, facts: null, seats: [] }
          : { verdict: "refused", status: state === "over" ? "expired" : state, seats: [] },
      );
      expect(await pictureOf(sale, reservationId, seatIds)).toEqual(before);
    },
  );

  test("by a writer that began before the seat's last change is put off, and changes nothing", async () => {
    const seatIds = await freeSeats(1);
    const reservationId = action === "expire" || action === "cancel" ? "" : await held(seatIds);
    const early = await sale.session();
    await early.query("begin; select pg_current_xact_id()");
    const late = reservationId || (await states[outcome.from[0] ?? ""]?.(seatIds)) || "";
    if (reservationId) await did(reservationId, "extend");
    if (action === "extend") await age(sale, late, "1 minute");
    const before = await pictureOf(sale, late, seatIds);
    expect(await change(early, late, action)).toMatchObject({ verdict: "again", seats: [] });
    await early.query("commit");
    expect(await pictureOf(sale, late, seatIds)).toEqual(before);
  });
});

describe("extending a hold", () => {
  test("gives it the event's time from now on, on the reservation and its seats", async () => {
    const seatIds = await freeSeats(2);
    const reservationId = await held(seatIds, "9 minutes");
    const { facts } = await did(reservationId, "extend");
    const { afterMs, expiresAtMs } = await endOf(sale, reservationId);
    expect(facts?.expiresAtMs).toBe(expiresAtMs);
    expect(afterMs).toBeWithin((9 + 10) * 60_000, (9 + 11) * 60_000);
  });

  test("never goes beyond the event's limit, and is refused when nothing is gained", async () => {
    const short = await addEvent(sale, { holdTtlSeconds: 600, holdLimitSeconds: 700 });
    const reservationId = await held(await addSeatsOf(sale, short, 1), "5 minutes");
    expect(await did(reservationId, "extend")).toMatchObject({ verdict: "done" });
    expect((await endOf(sale, reservationId)).afterMs).toBe(700_000);
    expect(await did(reservationId, "extend")).toMatchObject({
      verdict: "refused",
      status: "held",
      seats: [],
    });
  });
});

test("cancelling is refused where the event takes nothing back, and there a confirmation is final", async () => {
  const final = await addEvent(sale, { cancellable: false });
  const reservationId = await held(await addSeatsOf(sale, final, 1));
  expect(await did(reservationId, "confirm")).toMatchObject({ verdict: "done", final: true });
  expect(await did(reservationId, "cancel")).toMatchObject({ verdict: "refused", status: "confirmed" });
  const elsewhere = await held(await freeSeats(1));
  expect(await did(elsewhere, "confirm")).toMatchObject({ verdict: "done", final: false });
});

describe("expiry", () => {
  test.each([1, 2])(
    "frees what is still the reservation's after others took %d of its 2 seats over",
    async (count) => {
      const seatIds = await freeSeats(2);
      const reservationId = await over(seatIds);
      const rival = await taken(sale, seatIds.slice(0, count), { isHold: count === 1 });
      const left = seatIds.slice(count);
      expect(await did(reservationId, "expire")).toMatchObject({
        ...{ verdict: "done", seats: left.map((seatId) => [seatId, 2]) },
      });
      expect(await sale.seat(seatIds[0] ?? 0)).toMatchObject({ version: 2, reservationId: rival });
      expect(await reservationOf(sale, reservationId)).toMatchObject({ status: "expired", seatIds });
    },
  );
});

describe("a batch of changes", () => {
  test("answers each for itself, in the order of the request, and hurts no neighbour", async () => {
    const [mine, locked, ended] = [
      await held(await freeSeats(2)),
      await freeSeats(1),
      await over(await freeSeats(1)),
    ];
    const busy = await held(locked);
    const rival = await sale.session();
    await rival.query("begin");
    await rival.query("select from seats where id = $1 for update", locked);
    const rows = await commitChanges(await sale.session(), [
      changeOf(ended, "release"),
      changeOf(busy, "confirm"),
      changeOf(Bun.randomUUIDv7(), "extend"),
      changeOf(mine, "confirm"),
    ]);
    expect(rows.map(({ verdict }) => verdict)).toEqual(["refused", "again", "missing", "done"]);
  });

  const decide = async (...changes: ReservationChange[]) => {
    const refusals = new FaultLog(createLog("silent", "test"), "the database refuses what it is asked");
    const answer = await changeBatch({ pool: sale.pool, refusals }, changes);
    if (answer === "doubtful") throw new Error("the batch is in doubt");
    return answer.changes.map(({ verdict }) => verdict);
  };

  test("in which two want the same seat back gives it to one, and hurts no other", async () => {
    const seatIds = await freeSeats(1);
    const [first, second] = [await over(seatIds), await over(seatIds)];
    const neighbour = await held(await freeSeats(1));
    const verdicts = await decide(
      changeOf(first, "confirm"),
      changeOf(second, "confirm"),
      changeOf(neighbour, "release"),
    );
    expect(verdicts).toEqual(["done", "gone", "done"]);
  });

  test("lets changes under a buyer's limit go in the guarded way by itself", async () => {
    const limited = await addEvent(sale, { buyerLimitSeats: 1 });
    const reservationId = await taken(sale, await addSeatsOf(sale, limited, 1), { buyerId: "somebody" });
    const other = await held(await freeSeats(1));
    const verdicts = await decide(changeOf(reservationId, "confirm"), changeOf(other, "confirm"));
    expect(verdicts).toEqual(["done", "done"]);
  });

  test("gives up on what stays locked, and changes nothing of it", async () => {
    const seatIds = await freeSeats(1);
    const reservationId = await held(seatIds);
    const rival = await sale.session();
    await rival.query("begin");
    await rival.query("select from seats where id = $1 for update", seatIds);
    expect(await decide(changeOf(reservationId, "release"))).toEqual(["undecided"]);
  });
});
