import { expect } from "bun:test";
import { type Answer, bodyOf, histogram, reserve } from "../engine/buyers.ts";
import type { Facts } from "../engine/facts.ts";
import { sized } from "./sizes.ts";

/** Between two seats of one group: a fault lasts for seconds, and the machine is not to be busy with rivals alone. */
const PAUSE_MS = sized(30, 15);

/** An answer with the time of its request and of itself, by `performance.now`. */
interface TimedAnswer extends Answer {
  askedAt: number;
  answeredAt: number;
}

/** Buyers who ask for the same seats at the same moment, one at each engine. */
export interface Rivalry {
  /** Seats whose rivals all have their answers. */
  decided(): number;
  /** No seat more; resolves when every rival has its answer. */
  stop(): Promise<TimedAnswer[]>;
}

/** `pairCount` groups of rivals, each going on to the next seat soon after all of them have their answers. */
export function openRivalry(urls: string[], seatIds: Iterable<number>, pairCount: number): Rivalry {
  const answers: TimedAnswer[] = [];
  const rest = seatIds[Symbol.iterator]();
  let stopped = false;
  let decided = 0;
  const ask = async (url: string, seatId: number) => {
    const askedAt = performance.now();
    const answer = await reserve(url, seatId);
    answers.push({ ...answer, askedAt, answeredAt: performance.now() });
  };
  const group = async () => {
    while (!stopped) {
      const next = rest.next();
      if (next.done) return;
      await Promise.all(urls.map((url) => ask(url, next.value)));
      decided++;
      await Bun.sleep(PAUSE_MS);
    }
  };
  const ended = Promise.all(Array.from({ length: pairCount }, group)).then(() => answers);
  // Looked at only when the test asks for it, which a failing test never does.
  ended.catch(() => undefined);
  return {
    decided: () => decided,
    stop: () => {
      stopped = true;
      return ended;
    },
  };
}

/**
 * Of the rivals for each seat one was told 201, who has it, and the others 409, which was true: the one who
 * has it had asked before they were answered. Nobody was told anything else.
 */
export async function expectTrueRefusals(facts: Facts, answers: TimedAnswer[]): Promise<void> {
  const { 201: won = 0, 409: refused = 0, ...others } = histogram(answers);
  expect(others).toEqual({});
  expect(won + refused).toBe(answers.length);
  const seats = await facts.seats();
  const faults: string[] = [];
  for (const [seatId, ofSeat = []] of Map.groupBy(answers, (answer) => answer.seatId)) {
    const winners = ofSeat.filter(({ status }) => status === 201);
    const [winner] = winners;
    if (!winner || winners.length > 1) {
      faults.push(
        `seat ${seatId} has ${winners.length} winners: ${ofSeat.map(({ body }) => body).join(" ")}`,
      );
      continue;
    }
    if (seats.get(seatId)?.reservationId !== bodyOf(winner).reservationId)
      faults.push(`seat ${seatId} is not its winner's`);
    for (const answer of ofSeat) {
      if (answer.answeredAt < winner.askedAt)
        faults.push(`seat ${seatId} was refused before anybody asked for it`);
    }
  }
  expect(faults).toEqual([]);
  await facts.expectSound();
}
