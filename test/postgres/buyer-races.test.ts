import { expect, test } from "bun:test";
import type pg from "pg";
import type { KeyClaim } from "../../src/postgres/claims.ts";
import { randomFrom, seedOf } from "../engine/random.ts";
import { expectSound } from "../fixtures/sound.ts";
import {
  addEvent,
  addSeatsOf,
  age,
  change,
  changeWithClaims,
  newKey,
  take,
  wishFor,
} from "./reservations.ts";
import { useSale } from "./use-sale.ts";

const ROUNDS = 100;
const WRITERS = 5;
const SEATS = 12;
const BUYERS = ["one", "two"];
const ACTIONS = ["confirm", "confirm", "extend", "release", "cancel", "expire"] as const;

const sale = useSale();

test("whatever buyers ask for at the same moment, none passes the limit and each key is answered once", async () => {
  const random = randomFrom(seedOf("buyer-races"));
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
  const sessions = await Promise.all(Array.from({ length: WRITERS }, () => sale.session()));
  const eventId = await addEvent(sale, { buyerLimitSeats: 4, holdLimitSeconds: 86_400 });
  const seatIds = await addSeatsOf(sale, eventId, SEATS);
  const known = [Bun.randomUUIDv7()];
  const keys = [newKey()];
  const answered: string[] = [];
  const verdicts = new Set<string>();

  async function hold(session: pg.PoolClient, wanted: number[], buyerId: string, key: KeyClaim) {
    const wish = await wishFor(sale, wanted, { buyerId, key });
    const [[verdict = ""] = []] = await take(session, wish);
    if (verdict !== "won") return verdict;
    known.push(wish.reservationId);
    answered.push(key.key);
    return verdict;
  }

  async function alter(session: pg.PoolClient, reservationId: string, action: (typeof ACTIONS)[number]) {
    const plain = await change(session, reservationId, action);
    if (plain.verdict !== "capped") return plain.verdict;
    const answer = await changeWithClaims(session, reservationId, action);
    return answer === "claimed" ? answer : answer.verdict;
  }

  for (let round = 1; round <= ROUNDS; round++) {
    if (random() < 0.5) keys.push(newKey());
    if (random() < 0.7) await age(sale, pick(known.slice(-5)));
    await Promise.all(
      sessions.map(async (session) => {
        const [first, count, buyerId] = [
          Math.floor(random() * SEATS),
          1 + Math.floor(random() * 4),
          pick(BUYERS),
        ];
        const [mine, action] = [pick(known.slice(-5)), pick(ACTIONS)];
        const verdict =
          random() < 0.5
            ? hold(session, seatIds.slice(first, first + count), buyerId, pick(keys.slice(-2)))
            : alter(session, mine, action);
        verdicts.add(await verdict);
      }),
    );
    await expectSound(sale.url);
  }
  expect(answered).toEqual([...new Set(answered)]);
  // Else the rounds have shown nothing.
  expect([...verdicts]).toEqual(expect.arrayContaining(["won", "done", "over_limit", "replayed"]));
}, 30_000);
