import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type pg from "pg";
import { commitChanges, commitChangesWithClaims } from "../../src/postgres/change.ts";
import { commitReservations, commitReservationsWithClaims } from "../../src/postgres/reserve.ts";
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
import { changeOf, newKey, orderOf, taken, wishFor } from "./reservations.ts";
import { useEvent, useSale } from "./use-sale.ts";

/** An advisory lock that makes statements of a slow session wait after their snapshot, before their locks. */
const BARRIER = 1;

const sale = useSale();
const { event, freeSeats, held } = useEvent(sale, STAGE_TERMS);
let slow: pg.PoolClient;
let gate: pg.PoolClient;
beforeAll(async () => {
  await sale.rows(`
    create function at_the_barrier() returns boolean language plpgsql volatile as $$ begin
      if current_setting('test.is_slow', true) = 'yes' and current_query() like '%for no key update%' then perform pg_advisory_xact_lock_shared(${BARRIER}); end if;
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

describe("rows that are touched meanwhile, but as free or held as before,", () => {
  /** New versions of rows, which a statement checks again under its locks. */
  const touch = async (seatIds: number[], reservationIds: string[]) => {
    await sale.rows("update seats set price_minor = price_minor where id = any($1)", [seatIds]);
    await sale.rows("update reservations set caller = caller where id = any($1)", [reservationIds]);
  };

  test.each(["plain", "with claims", "capped"])(
    "are taken by a %s batch, and what it bars stays barred",
    async (kind) => {
      const used = newKey();
      await taken(sale, await freeSeats(1), { key: used });
      const [one, basket, barred] = [await freeSeats(1), await freeSeats(3), await freeSeats(2)];
      const orders = [
        orderOf(await wishFor(sale, one)),
        orderOf(await wishFor(sale, basket, kind === "plain" ? {} : { key: newKey() })),
        ...(kind === "plain" ? [] : [orderOf(await wishFor(sale, barred, { key: used }))]),
      ];
      if (kind === "capped")
        for (const order of orders) {
          order.caller = `net:${"A".repeat(22)}`;
          order.checks = { buyerId: null, key: null, ...order.checks, callerLimitSeats: 5 };
        }
      const answers = await meanwhile(
        () =>
          kind === "plain" ? commitReservations(slow, orders) : commitReservationsWithClaims(slow, orders),
        () => touch([...one, ...basket, ...barred], []),
      );
      expect(answers.map((rows) => rows?.map(({ verdict }) => verdict).join())).toEqual([
        "won",
        "won,won,won",
        ...(kind === "plain" ? [] : ["replayed,replayed"]),
      ]);
    },
  );

  test.each(["plain", "with claims"])(
    "are changed by a %s batch, and what it bars stays barred",
    async (kind) => {
      const used = newKey();
      await taken(sale, await freeSeats(1), { key: used });
      const seatIds = await freeSeats(9);
      const ids = await Promise.all([0, 3, 6].map((from) => held(seatIds.slice(from, from + 3))));
      const changes = ids.map((id, place) => ({
        ...changeOf(id, place === 1 ? "release" : "confirm"),
        key: kind === "with claims" && place === 2 ? used : null,
      }));
      const rows = await meanwhile(
        () => (kind === "plain" ? commitChanges(slow, changes) : commitChangesWithClaims(slow, changes)),
        () => touch(seatIds, ids),
      );
      expect(rows.map((row) => `${row?.verdict} ${row?.seats.length}`)).toEqual([
        "done 3",
        "done 3",
        kind === "plain" ? "done 3" : "replayed 0",
      ]);
    },
  );
});
