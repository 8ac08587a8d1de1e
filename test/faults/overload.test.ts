import { expect, test } from "bun:test";
import { bodyOf, histogram, reserve, reserveAtOnce } from "../engine/buyers.ts";
import { openSelling } from "../fixtures/use-engine.ts";
import { sized } from "./sizes.ts";

// Row 15 of README.md, as far as it has no clock: that the rate does not fall and memory stays flat is
// measured by the scenarios `overload` and `soak` of bench/.

const QUEUE_LIMIT = 50;
const BUYERS = sized(1000, 4000);
const ROUNDS = 3;

test("more buyers than the queue may hold: every answer is a seat or a Retry-After, and every retry gets a seat", async () => {
  await using stack = new AsyncDisposableStack();
  const env = { QUEUE_LIMIT_SEATS: String(QUEUE_LIMIT), RATE_LIMIT_ADDRESS_REQUESTS: "0" };
  const { url, facts } = await openSelling(stack, { seats: BUYERS * ROUNDS, env });

  const won = new Set<number>();
  const turnedAway: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const seatIds = Array.from({ length: BUYERS }, (_, buyer) => round * BUYERS + buyer + 1);
    const { answers } = await reserveAtOnce(seatIds.map((seatId) => ({ url, seatId })));
    for (const answer of await answers) {
      if (answer.status === 201) won.add(answer.seatId);
      else {
        expect(answer.status).toBe(503);
        expect(bodyOf(answer)).toEqual({
          message: "System is busy, please try again",
          ...{ seatId: answer.seatId, status: "RETRY", reason: "overloaded" },
        });
        expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
        turnedAway.push(answer.seatId);
      }
    }
  }
  // It was an overload, and it sold all the while.
  expect(turnedAway.length).toBeGreaterThan(0);
  expect(won.size).toBeGreaterThan(ROUNDS * QUEUE_LIMIT);

  for (const seatId of turnedAway.slice(0, 20)) {
    expect(histogram([await reserve(url, seatId)])).toEqual({ 201: 1 });
    won.add(seatId);
  }
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toMatch(/^sentinel_queue_seats 0$/m);
  await facts.allPublished(30_000);
  const reserved = [...(await facts.seats()).values()].filter(({ status }) => status === "reserved");
  expect(new Set(reserved.map(({ id }) => id))).toEqual(won);
  await facts.expectSound();
});
