import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { useSale } from "../postgres/use-sale.ts";
import { Model } from "../spec/model.ts";
import { Run } from "./model-run.ts";
import { actionOn, SCENES, type Scene, STATES } from "./model-scenes.ts";
import { EVENTS, SEATS, type Step, stepsOf } from "./model-steps.ts";

const sale = useSale({ staysSound: false });

async function play(steps: Step[]): Promise<void> {
  const run = await Run.begin(sale, new Model(EVENTS, SEATS));
  for (const step of steps) await run.step(step);
  await run.end();
}

async function playScene(scene: Scene): Promise<void> {
  const run = await Run.begin(sale, new Model(EVENTS, SEATS));
  for (const [step, answers] of scene) {
    await run.step(step);
    if (answers !== undefined) expect(run.answers).toBe(answers);
  }
  await run.end();
}

/** A failure is shrunk for so long at most; the test's own limit must leave time for the report. */
const LIMIT_MS = 60_000;
const told = (numRuns: number) => ({ numRuns, interruptAfterTimeLimit: LIMIT_MS });

test.each(Object.entries(SCENES))("%s", (_what, scene) => playScene(scene));

describe.each(Object.keys(STATES))("a reservation that is %s", (state) => {
  test.each(["confirm", "release", "extend", "cancel"] as const)("answers a %s", (action) =>
    playScene(actionOn(state, action)),
  );
});

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
