import { afterAll, beforeAll, describe, test } from "bun:test";
import fc from "fast-check";
import { openSale, type Sale } from "../postgres/sale.ts";
import { Model } from "./model.ts";
import { Run } from "./model-run.ts";
import { EVENTS, FOUND_ONCE, SEATS, type Step, stepsOf } from "./model-steps.ts";

let sale: Sale;
beforeAll(async () => {
  sale = await openSale();
});
afterAll(() => sale.close());

async function play(steps: Step[]): Promise<void> {
  const run = await Run.begin(sale, new Model(EVENTS, SEATS));
  for (const step of steps) await run.step(step);
  await run.end();
}

/** A failure is shrunk for so long at most; the test's own limit must leave time for the report. */
const LIMIT_MS = 60_000;
const told = (numRuns: number) => ({ numRuns, interruptAfterTimeLimit: LIMIT_MS });

test.each(Object.entries(FOUND_ONCE))("it is not so any more that %s", (_what, steps) => play(steps));

describe("whatever buyers ask for", () => {
  test(
    "one after another, of two processes, has the one answer that the rules give, and no other effect",
    () => fc.assert(fc.asyncProperty(stepsOf(1, 50), play), told(60)),
    2 * LIMIT_MS,
  );

  test(
    "at the same moment has answers and effects as if it had been asked in some order",
    () => fc.assert(fc.asyncProperty(stepsOf(4, 40), play), told(40)),
    2 * LIMIT_MS,
  );
});
