import { beforeAll, expect, test } from "bun:test";
import { useStack } from "../fixtures/stack.ts";
import type { Engine } from "./engines.ts";
import {
  expectProblem,
  newKey,
  type OnSale,
  openTheatre,
  type Theatre,
  type Till,
  tillAt,
} from "./reservations.ts";

/** Requests that cannot be met, at the same time. */
const NUISANCES = 8;
const HOT_SEATS = 10;
const MISSING_SEAT = 999_999_999;

const stack = useStack();
let theatre: Theatre;
let engine: Engine;
let till: Till;
/** Of an event that takes seats back: no process refuses such a seat by its memory alone. */
let house: OnSale;
let capped: OnSale;

beforeAll(async () => {
  theatre = await openTheatre(stack);
  house = await theatre.addEvent({ rows: 10, seatsPerRow: 20 });
  capped = await theatre.addEvent({ rows: 2, seatsPerRow: 20, more: { buyerLimitSeats: 1 } });
  engine = await theatre.openEngine();
  till = tillAt(engine.url);
});

interface Attack {
  /** Seats that nobody has and that each buyer wants one of. */
  hot: number[];
  send(): ReturnType<Till["hold"]>;
  /** What it is told. */
  refusal: [status: number, slug: string];
}

const attacks: [what: string, make: (hot: number[], sold: number) => Promise<Attack>][] = [
  [
    "names one sold seat among them",
    async (hot, sold) => ({
      ...{ hot, refusal: [409, "seats-taken"] },
      send: () => till.hold({ seatIds: [...hot, sold] }),
    }),
  ],
  [
    "names one sold seat among them, with a key",
    async (hot, sold) => ({
      ...{ hot, refusal: [409, "seats-taken"] },
      send: () => till.hold({ seatIds: [...hot, sold] }, newKey()),
    }),
  ],
  [
    "names a seat that there is not",
    async (hot) => ({
      ...{ hot, refusal: [404, "seat-not-found"] },
      send: () => till.hold({ seatIds: [...hot, MISSING_SEAT] }),
    }),
  ],
  [
    "comes with a key that was used for another seat",
    async (hot, sold) => {
      const key = newKey();
      expect((await till.hold({ seatIds: [sold + 1] }, key)).status).toBe(201);
      return { hot, refusal: [422, "idempotency-key-reused"], send: () => till.hold({ seatIds: hot }, key) };
    },
  ],
];

/** Sends such requests without pause until what is done meanwhile is done. */
async function during(attack: Attack, done: Promise<unknown>): Promise<void> {
  let isDone = false;
  const loops = Array.from({ length: NUISANCES }, async () => {
    const answers = [];
    while (!isDone) answers.push(await attack.send());
    return answers;
  });
  await done.finally(() => {
    isDone = true;
  });
  const answers = (await Promise.all(loops)).flat();
  expect(answers.length).toBeGreaterThan(NUISANCES);
  const told = answers.map(({ body }) => body.type);
  // While a buyer is being decided on, his seat is contended for them too.
  expect(told.filter((type) => type?.endsWith(attack.refusal[1])).length).toBeGreaterThan(0);
}

test.each(attacks)("a request that %s never makes a hot seat contended for others", async (_, make) => {
  const seats = house.seats.splice(0, HOT_SEATS + 2);
  const [sold = 0, _other, ...hot] = seats;
  const sale = await till.send("POST", `/api/v1/bookings/reserve/${sold}`);
  expect(sale.status).toBe(201);
  const attack = await make(hot, sold);
  expectProblem(await attack.send(), ...attack.refusal);
  const buyers = async () => {
    const statuses = [];
    for (const seatId of hot) statuses.push((await till.hold({ seatIds: [seatId] })).status);
    expect(statuses).toEqual(hot.map(() => 201));
  };
  await during(attack, buyers());
});

test("a buyer who has all he may have keeps no seat from others, and may have one again that he gives back", async () => {
  const [own, ...hot] = capped.seats;
  const held = await till.hold({ seatIds: [own], buyerId: "b" });
  expect(held.status).toBe(201);
  const [wanted] = hot;
  const attack: Attack = {
    ...{ hot, refusal: [409, "buyer-limit-reached"] },
    send: () => till.hold({ seatIds: [wanted], buyerId: "b" }),
  };
  expectProblem(await attack.send(), ...attack.refusal);
  const others = async () => {
    const bought = [];
    for (let time = 0; time < HOT_SEATS; time++) {
      const other = await till.hold({ seatIds: [wanted], buyerId: `other-${time}` });
      bought.push(other.status);
      if (other.status !== 201) continue;
      await till.act("release", other.body, { "x-reservation-token": other.body.token });
    }
    expect(bought).toEqual(bought.map(() => 201));
  };
  await during(attack, others());
  await till.act("release", held.body, { "x-reservation-token": held.body.token });
  expect((await attack.send()).status).toBe(201);
});
