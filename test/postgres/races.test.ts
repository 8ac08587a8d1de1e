import { describe, expect, test } from "bun:test";
import { randomFrom, seedOf } from "../engine/random.ts";
import { expectSound } from "../fixtures/sound.ts";
import { within } from "../fixtures/until.ts";
import {
  changes,
  isInTheWay,
  isTake,
  OPERATIONS,
  operate,
  STAGE_TERMS,
  STANDINGS,
  situationOf,
  stageOf,
  undisturbed,
} from "./race-model.ts";
import { age } from "./reservations.ts";
import { useEvent, useSale } from "./use-sale.ts";

/** Far less than the statement may take: who answers within it has waited for nobody. */
const AT_ONCE_MS = 1000;

const sale = useSale();
const { event, freeSeats } = useEvent(sale, STAGE_TERMS);

describe.each(STANDINGS)("my reservation is %s, and while a transaction is open", (standing) => {
  const before = situationOf(standing);

  test.each(OPERATIONS.flatMap((first) => [[first, "commit"] as const, [first, "rollback"] as const]))(
    "that did %s, and ends in %s, everything else is refused at once or undisturbed",
    async (first, end) => {
      const [holder, other] = [await sale.session(), await sale.session()];
      const one = undisturbed(before, first);
      for (const second of OPERATIONS) {
        const stage = await stageOf(sale, event.id, standing);
        const two = undisturbed(before, second);

        await holder.query("begin");
        expect(await operate(sale, holder, stage, first)).toBe(one.verdict);
        const meanwhile = await within(
          operate(sale, other, stage, second),
          AT_ONCE_MS,
          `${second}, meanwhile`,
        );
        await holder.query(end);

        const isPutOff = isInTheWay(before, first, second);
        const busy = isTake(second) ? "contended" : "again";
        expect(`${second}: ${meanwhile}`).toBe(`${second}: ${isPutOff ? busy : two.verdict}`);
        let now = before;
        if (end === "commit") now = undisturbed(now, first).next;
        if (changes(two) && !isPutOff) now = undisturbed(now, second).next;
        const afterwards = await operate(sale, other, stage, second);
        expect(`${second}, then: ${afterwards}`).toBe(`${second}, then: ${undisturbed(now, second).verdict}`);
      }
    },
  );
});

const ROUNDS = 120;
/** Enough: the replay reads the whole ledger, and a row that was wrong for a while has left its changes there. */
const ROUNDS_PER_CHECK = 6;
const WRITERS = 4;

test("whatever is done to the same seats and reservations at the same moment, all stays sound", async () => {
  const random = randomFrom(seedOf("races"));
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
  const sessions = await Promise.all(Array.from({ length: WRITERS }, () => sale.session()));
  const seatIds = await freeSeats(4);
  const known = [Bun.randomUUIDv7()];
  const verdicts = new Set<string>();

  for (let round = 1; round <= ROUNDS; round++) {
    if (round % 20 === 0) seatIds.splice(0, 4, ...(await freeSeats(4)));
    if (random() < 0.4) await age(sale, pick(known));
    const plans = sessions.map((session) => ({
      session,
      operation: pick(OPERATIONS),
      stage: { seatIds: seatIds.filter(() => random() < 0.5), mine: pick(known.slice(-6)) },
      /** An early transaction id, which must not become a later version. */
      beginsEarly: random() < 0.4,
      end: random() < 0.8 ? "commit" : "rollback",
    }));
    for (const { session, beginsEarly } of plans)
      if (beginsEarly) await session.query("begin; select pg_current_xact_id()");
    const run = async ({ session, operation, stage, beginsEarly, end }: (typeof plans)[number]) => {
      verdicts.add(await operate(sale, session, stage, operation, known));
      if (beginsEarly) await session.query(end);
    };
    if (random() < 0.5) await Promise.all(plans.map(run));
    else for (const plan of plans) await run(plan);
    if (round % ROUNDS_PER_CHECK === 0) await expectSound(sale.url);
  }
  // Else the rounds have shown nothing.
  expect([...verdicts]).toEqual(expect.arrayContaining(["won", "done"]));
}, 30_000);
