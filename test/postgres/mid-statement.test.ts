import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type pg from "pg";
import { expectSound } from "../fixtures/sound.ts";
import { untilWithin } from "../fixtures/until.ts";
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
import { useEvent, useSale } from "./use-sale.ts";

/** An advisory lock that makes statements of a slow session wait after their snapshot, before their locks. */
const BARRIER = 1;

const sale = useSale();
const { event } = useEvent(sale, STAGE_TERMS);
let slow: pg.PoolClient;
let gate: pg.PoolClient;
beforeAll(async () => {
  await sale.rows(`
    create function at_the_barrier() returns boolean language plpgsql volatile as $$ begin
      if current_setting('test.is_slow', true) = 'yes' then perform pg_advisory_xact_lock_shared(${BARRIER}); end if;
      return true;
    end $$;
    alter table events rename to all_events;
    create view events as select * from all_events where at_the_barrier()`);
});
beforeEach(async () => {
  [slow, gate] = [await sale.session(), await sale.session()];
});

/** Runs something while a statement of the slow session is between its snapshot and its locks. */
async function meanwhile<Result>(
  statement: () => Promise<Result>,
  work: () => Promise<void>,
): Promise<Result> {
  await gate.query("begin");
  await gate.query("select pg_advisory_xact_lock($1)", [BARRIER]);
  await slow.query("begin");
  await slow.query("set local test.is_slow = 'yes'");
  const running = statement();
  await untilWithin(
    1000,
    "the slow statement is at the barrier",
    async () =>
      (
        await gate.query(
          "select from pg_stat_activity where datname = current_database() and wait_event = 'advisory'",
        )
      ).rowCount,
  );
  await work();
  await gate.query("commit");
  const result = await running;
  await slow.query("commit");
  return result;
}

describe.each(STANDINGS)("my reservation is %s", (standing) => {
  const before = situationOf(standing);
  const possible = OPERATIONS.filter((operation) => changes(undisturbed(before, operation)));

  test.each(possible)(
    "and a %s goes by what it finds at its locks, not by what it saw before",
    async (first) => {
      const other = await sale.session();
      for (const second of possible) {
        const stage = await stageOf(sale, event.id, standing);
        const one = undisturbed(before, first);
        const verdict = await meanwhile(
          () => operate(sale, slow, stage, first),
          async () => {
            expect(await operate(sale, other, stage, second)).toBe(undisturbed(before, second).verdict);
          },
        );
        const busy = isTake(first) ? "contended" : "again";
        const sequel = undisturbed(undisturbed(before, second).next, first);
        const allowed = isInTheWay(before, second, first)
          ? [busy, ...(changes(sequel) ? [sequel.verdict] : [])]
          : [one.verdict];
        expect(allowed.map((outcome) => `after ${second}: ${outcome}`)).toContain(
          `after ${second}: ${verdict}`,
        );
        await expectSound(sale.url);
      }
    },
  );
});
