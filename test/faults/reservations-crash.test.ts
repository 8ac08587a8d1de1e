import { beforeAll, describe, expect, test } from "bun:test";
import { openEngine } from "../engine/engines.ts";
import { randomFrom, seedOf } from "../engine/random.ts";
import { newKey, type OnSale, openTheatre, type Theatre, tillAt, UNLIMITED } from "../engine/reservations.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { sized } from "./sizes.ts";

// Row 4 of README.md at random moments: holds. At named ones: killed-at-a-step.test.ts.

const CRASHES = sized(3, 30);
/** About what a hold takes: some crashes come before the commit, some behind it. */
const LATEST_CRASH_MS = 25;
const IN_FLIGHT = 20;

describe("an engine that is killed before it has answered", () => {
  const stack = useStack();
  let theatre: Theatre;
  let house: OnSale;
  let env: Record<string, string>;
  let nextSeat = 0;

  beforeAll(async () => {
    const dataDir = await openFolder(stack, "killed");
    theatre = await openTheatre(stack);
    house = await theatre.addEvent({ rows: 40, seatsPerRow: 40 });
    env = { DATABASE_URL: theatre.databaseUrl, DATA_DIR: dataDir, ...UNLIMITED };
  });

  const open = () => openEngine(stack, env);
  const seats = (count: number) => Array.from({ length: count }, () => house.seats[nextSeat++] ?? 0);
  const reservationsOn = (seatIds: number[]) =>
    theatre.facts.query<{ id: string; status: string; seatIds: number[] }>(
      `select id, status::text, array_to_json(seat_ids) as "seatIds" from reservations where seat_ids && $1::bigint[] and status <> 'void'`,
      [seatIds],
    );
  test("at any moment: sent again with their keys, all holds are there once, as answered", async () => {
    const random = randomFrom(seedOf("reservations-crash.test.ts"));
    let lost = 0;
    let replayed = 0;
    for (let crash = 1; crash <= CRASHES; crash++) {
      const engine = await open();
      const sent = Array.from({ length: IN_FLIGHT }, () => ({
        key: newKey(),
        body: { seatIds: nextSeat % 2 ? seats(1) : seats(2) },
      }));
      // The first request to an engine takes longer than the others.
      expect((await tillAt(engine.url).hold({ seatIds: seats(1) }, newKey())).status).toBe(201);
      const first = sent.map(({ key, body }) => tillAt(engine.url).hold(body, key));
      await Bun.sleep(random() * LATEST_CRASH_MS);
      await engine.kill();
      const answers = await Promise.all(first);
      lost += answers.filter(({ status }) => status === 0).length;

      const survivor = await open();
      for (const [index, { key, body }] of sent.entries()) {
        const again = await until("the hold is answered", async () => {
          const answer = await tillAt(survivor.url).hold(body, key);
          // A transaction of the one that was killed may still be ending.
          return answer.status !== 409 && answer;
        });
        expect(again.status).toBe(201);
        if (again.headers.has("idempotent-replayed")) replayed++;
        if (answers[index]?.status === 201) expect(again.text).toBe(answers[index].text);
        const found = await reservationsOn(body.seatIds);
        expect(found.map(({ id, seatIds }) => [id, seatIds])).toEqual([
          [again.body.reservationId, body.seatIds],
        ]);
      }
      await survivor.stop();
      await theatre.expectSound();
    }
    // Else the crashes came too early or too late to prove anything.
    expect(lost).toBeGreaterThan(0);
    expect(replayed).toBeLessThan(CRASHES * IN_FLIGHT);
    console.log(`reservations-crash.test.ts: ${lost} answers lost, ${replayed} replayed`);
  });
});
