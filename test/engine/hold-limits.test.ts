import { beforeAll, describe, expect, test } from "bun:test";
import { useStack } from "../fixtures/stack.ts";
import {
  type Answer,
  expectProblem,
  type Headed,
  type OnSale,
  openTheatre,
  type Theatre,
  type Till,
  tokenOf,
} from "./reservations.ts";

const ADDRESS_SEATS = 10;
const KEY_SEATS = 40;
/** Together within the limit of their key. */
const BUSY_BUYERS = 32;
const BUSY_TURNS = 20;
const IN_PROGRESS = "urn:sentinel:problem:request-in-progress";
const RACE_DEADLINE_MS = 20_000;
const from = (address: string): Headed => ({ "x-forwarded-for": address });

describe("the seats that one caller holds", () => {
  const stack = useStack();
  let theatre: Theatre;
  let house: OnSale;
  let tills: Till[];
  let seller: Headed;
  /** Another key. */
  let busy: Headed;

  beforeAll(async () => {
    theatre = await openTheatre(stack);
    house = await theatre.addEvent({ rows: 60, seatsPerRow: 10 });
    const env = {
      TRUSTED_PROXY_COUNT: "1",
      HOLD_LIMIT_ADDRESS_SEATS: String(ADDRESS_SEATS),
      HOLD_LIMIT_KEY_SEATS: String(KEY_SEATS),
    };
    tills = await Promise.all([theatre.openTill(env), theatre.openTill(env)]);
    seller = await theatre.key("seller");
    busy = await theatre.key("seller");
  });

  const seats = (count: number) => house.seats.splice(0, count);
  const heldBy = async (reservationIds: string[]) => {
    const [row] = await theatre.facts.query<{ seats: number }>(
      `select coalesce(sum(seat_count), 0)::int as seats from reservations
       where status = 'held' and expires_at > now()
         and caller = (select caller from reservations where id = $1)`,
      [reservationIds[0]],
    );
    return row?.seats;
  };
  /** All at once, at both engines; a request that is told to come back does. */
  const race = async (orders: number[], headers: Headed): Promise<Answer[]> => {
    const deadline = performance.now() + RACE_DEADLINE_MS;
    return Promise.all(
      orders.map(async (count, index) => {
        const seatIds = seats(count);
        for (;;) {
          const answer = await (tills[index % tills.length] as Till).hold({ seatIds }, headers);
          const isUndecided = answer.body.type === IN_PROGRESS;
          if (!isUndecided || performance.now() > deadline) return answer;
        }
      }),
    );
  };
  const kept = (answers: Answer[]) => answers.filter(({ status }) => status === 201).map(({ body }) => body);

  test("are never more than the limit of its network, however many ask at once at two engines", async () => {
    const network = from("203.0.113.1");
    const answers = await race(Array(40).fill(3), network);
    const won = kept(answers);
    expect(won).toHaveLength(3);
    expect(await heldBy(won.map(({ reservationId }) => reservationId))).toBe(9);
    for (const answer of answers.filter(({ status }) => status !== 201))
      expectProblem(answer, 409, "hold-limit-reached");
    // A smaller wish still fits, another network is not concerned, and what is confirmed or released counts no more.
    const [till] = tills as [Till];
    const wishes = { preferences: [{ seatIds: seats(2) }, { seatIds: seats(1) }] };
    expect((await till.hold(wishes, network)).status).toBe(201);
    expect((await till.hold({ seatIds: seats(5) }, from("203.0.113.2"))).status).toBe(201);
    expectProblem(await till.hold({ seatIds: seats(1) }, network), 409, "hold-limit-reached");
    const [first, second] = won as [Answer["body"], Answer["body"]];
    expect((await till.act("extend", second, tokenOf(second))).status).toBe(200);
    expect((await till.act("confirm", first, tokenOf(first))).status).toBe(200);
    expect((await till.act("release", second, tokenOf(second))).status).toBe(200);
    expect((await till.hold({ seatIds: seats(6) }, network)).status).toBe(201);
    // The reserve route sells at once: nothing is held.
    const sold = await till.send("POST", `/api/v1/bookings/reserve/${seats(1)[0]}`, { headers: network });
    expect(sold.status).toBe(201);
  });

  test("reach the limit of its key exactly, and orders that share a batch with it lose nothing", async () => {
    const answers = await race(Array(150).fill(1), seller);
    const won = kept(answers);
    expect(won).toHaveLength(KEY_SEATS);
    expect(await heldBy(won.map(({ reservationId }) => reservationId))).toBe(KEY_SEATS);
    await theatre.expectSound();
  });

  /** Each buyer holds a seat and gives it back, again and again. @returns the answers to what comes in between. */
  const beBusy = async (between: (till: Till, held: Answer) => Promise<Answer>) => {
    const answers = await Promise.all(
      seats(BUSY_BUYERS).map(async (seatId, index) => {
        const till = tills[index % tills.length] as Till;
        const told: Answer[] = [];
        for (let turn = 0; turn < BUSY_TURNS; turn++) {
          const held = await till.hold({ seatIds: [seatId] }, busy);
          told.push(await between(till, held));
          if (held.status === 201) await till.act("release", held.body, tokenOf(held.body));
        }
        return told;
      }),
    );
    return answers.flat();
  };
  const inProgress = (answers: Answer[]) => answers.filter(({ body }) => body.type === IN_PROGRESS).length;

  test("are counted without telling a busy key that its requests are in progress", async () => {
    const answers = await beBusy(async (_till, held) => held);
    expect(inProgress(answers)).toBeLessThan((BUSY_BUYERS * BUSY_TURNS) / 100);
  });

  test("are extended without telling a busy key that its requests are in progress", async () => {
    const answers = await beBusy(async (till, held) =>
      held.status === 201 ? till.act("extend", held.body, tokenOf(held.body)) : held,
    );
    const extended = answers.filter(({ status }) => status === 200).length;
    // One in nine, before they waited. On a busy machine some holds, which wait less long, are told so.
    expect(inProgress(answers)).toBeLessThan((BUSY_BUYERS * BUSY_TURNS) / 20);
    expect(extended).toBeGreaterThan((BUSY_BUYERS * BUSY_TURNS * 9) / 10);
  });

  test("count until their hold ends, and an extension waits for its caller's other hold to be decided", async () => {
    const network = from("203.0.113.3");
    const [till] = tills as [Till];
    const held = await till.hold({ seatIds: seats(ADDRESS_SEATS) }, network);
    expect(held.status).toBe(201);
    const [row] = await theatre.facts.query<{ caller: string }>(
      "select caller from reservations where id = $1",
      [held.body.reservationId],
    );
    // Somebody decides on the same caller at this moment.
    await theatre.facts.query("select pg_advisory_lock(hashtextextended('caller:' || $1, 7310))", [
      row?.caller,
    ]);
    expectProblem(await till.act("extend", held.body, tokenOf(held.body)), 409, "request-in-progress");
    expectProblem(await till.hold({ seatIds: seats(1) }, network), 409, "request-in-progress");
    await theatre.facts.query("select pg_advisory_unlock_all()");
    expect((await till.act("extend", held.body, tokenOf(held.body))).status).toBe(200);
    await theatre.facts.query(
      `with own as (update reservations set expires_at = now() where id = $1 returning seat_ids)
       update seats set hold_expires_at = now() where id in (select unnest(seat_ids) from own)`,
      [held.body.reservationId],
    );
    expect((await till.hold({ seatIds: seats(1) }, network)).status).toBe(201);
  });
});
