import { describe, expect, test } from "bun:test";
import type pg from "pg";
import { commitChangesWithClaims } from "../../src/postgres/change.ts";
import { openSession } from "../../src/postgres/connect.ts";
import { until, within } from "../fixtures/until.ts";
import {
  change,
  changeOf,
  changeWithClaims,
  endHold,
  pausedAfterBegin,
  take,
  taken,
  type Wish,
  wishFor,
  withoutCommit,
} from "./reservations.ts";
import { useEvent, useSale } from "./use-sale.ts";

/** Far less than the statement may take: who answers within it has waited for nobody. */
const AT_ONCE_MS = 1000;
const LIMIT_SEATS = 4;

const sale = useSale();
const { freeSeats, held, over } = useEvent(sale, { buyerLimitSeats: LIMIT_SEATS });

const newBuyer = () => `buyer-${Bun.randomUUIDv7()}`;
const sessions = (count: number) => Promise.all(Array.from({ length: count }, () => sale.session()));
const wishes = async (count: number, more: Partial<Wish>) => wishFor(sale, await freeSeats(count), more);
const takeOne = async (session: pg.PoolClient, wish: Wish) => (await take(session, wish))[0]?.[0];

async function liveSeats(buyerId: string): Promise<number> {
  const [row] = await sale.rows<{ count: number }>(
    `select coalesce(sum(seat_count), 0)::int as count from reservations
     where buyer_id = $1 and (status = 'confirmed' or (status = 'held' and expires_at > now()))`,
    [buyerId],
  );
  return row?.count ?? 0;
}

describe("a buyer's limit", () => {
  test("is kept to exactly when many sessions ask for the same buyer at the same moment", async () => {
    for (let round = 1; round <= 5; round++) {
      const buyerId = newBuyer();
      const wanted = await Promise.all(Array.from({ length: 8 }, () => wishes(2, { buyerId })));
      const asked = await sessions(wanted.length);
      const verdicts = await Promise.all(
        wanted.map(async (wish, index) => {
          const session = asked[index] as pg.PoolClient;
          return until("nobody else decides for the buyer", async () => {
            const verdict = await takeOne(session, wish);
            return verdict !== "claimed" && verdict;
          });
        }),
      );
      expect(verdicts.toSorted()).toEqual([...Array(6).fill("over_limit"), "won", "won"]);
      expect(await liveSeats(buyerId)).toBe(LIMIT_SEATS);
      await sale.endSessions();
    }
  });

  test("neither leaks nor deadlocks when two sessions want the same buyers in opposite order", async () => {
    for (let round = 1; round <= 20; round++) {
      const buyers = [newBuyer(), newBuyer(), newBuyer()];
      const batches = [buyers, buyers.toReversed()].map((order) =>
        Promise.all(order.map((buyerId) => wishes(3, { buyerId }))),
      );
      const asked = await sessions(2);
      const answers = await Promise.all(
        batches.map(async (batch, index) => take(asked[index] as pg.PoolClient, ...(await batch))),
      );
      const verdicts = answers.flat(2);
      expect(verdicts.filter((verdict) => !["won", "claimed", "over_limit"].includes(verdict))).toEqual([]);
      for (const buyerId of buyers) expect(await liveSeats(buyerId)).toBeLessThanOrEqual(LIMIT_SEATS);
      await sale.endSessions();
    }
  });

  test("is counted after the claim, not as it was when the transaction began", async () => {
    const buyerId = newBuyer();
    const session = await sale.session();
    const early = pausedAfterBegin(session, async () => {
      // A look before the claim would keep an old snapshot in a transaction that has only one.
      await session.query("select count(*) from reservations");
      await taken(sale, await freeSeats(3), { buyerId });
    });
    expect(await takeOne(early, await wishes(3, { buyerId }))).toBe("over_limit");
    expect(await liveSeats(buyerId)).toBe(3);
  });

  test.each(["commit", "rollback"])(
    "makes nobody wait: the answer comes at once while it is being decided, and after its %s again",
    async (end) => {
      const [buyerId, somebody] = [newBuyer(), newBuyer()];
      const [holder, other] = (await sessions(2)) as [pg.PoolClient, pg.PoolClient];
      expect(await takeOne(withoutCommit(holder), await wishes(3, { buyerId }))).toBe("won");

      const batch = [await wishes(3, { buyerId }), await wishes(2, { buyerId: somebody })];
      const meanwhile = await within(take(other, ...batch), AT_ONCE_MS, "the batch is answered");
      expect(meanwhile).toEqual([
        ["claimed", "claimed", "claimed"],
        ["won", "won"],
      ]);
      await holder.query(end);
      expect(await takeOne(other, await wishes(3, { buyerId }))).toBe(
        end === "commit" ? "over_limit" : "won",
      );
    },
  );

  describe.each(["confirm", "extend"] as const)(
    "is not passed at the end of a hold by an early %s",
    (action) => {
      /** Three seats in a hold that ends now, and three others that are taken right after. */
      async function exchange(buyerId: string, reservationId: string): Promise<void> {
        await endHold(sale, reservationId);
        await taken(sale, await freeSeats(3), { buyerId });
      }

      test("without claims, which leaves it to the way with them", async () => {
        const buyerId = newBuyer();
        const reservationId = await taken(sale, await freeSeats(3), { buyerId });
        const early = await sale.session();
        await early.query("begin");
        await exchange(buyerId, reservationId);
        expect((await change(early, reservationId, action)).verdict).toBe("capped");
      });

      test("with claims, whose clock is that after the claim", async () => {
        const buyerId = newBuyer();
        const reservationId = await taken(sale, await freeSeats(3), { buyerId });
        const early = pausedAfterBegin(await sale.session(), () => exchange(buyerId, reservationId));
        expect(await changeWithClaims(early, reservationId, action)).toMatchObject(
          action === "confirm" ? { verdict: "over_limit" } : { verdict: "refused", status: "expired" },
        );
      });

      test("and is no obstacle while the hold lasts", async () => {
        const reservationId = await held(await freeSeats(LIMIT_SEATS), "1 minute", { buyerId: newBuyer() });
        const session = await sale.session();
        expect((await change(session, reservationId, action)).verdict).toBe("capped");
        expect(await changeWithClaims(session, reservationId, action)).toMatchObject({ verdict: "done" });
      });
    },
  );

  test("is counted by statements that see what was committed, whatever the database's default", async () => {
    await sale.rows(`do $$ begin execute format(
      'alter database %I set default_transaction_isolation = %L', current_database(), 'repeatable read'); end $$`);
    const { $client: session } = await openSession(
      { databaseUrl: sale.url, name: "test-claims", statementTimeoutMs: 1000, connectTimeoutMs: 5000 },
      () => undefined,
    );
    const { rows } = await session.query("show transaction_isolation");
    await session.end();
    expect(rows).toEqual([{ transaction_isolation: "read committed" }]);
  });

  test("is not passed by a hold that ends while its confirmation is under way", async () => {
    const buyerId = newBuyer();
    const reservationId = await taken(sale, await freeSeats(3), { buyerId });
    await endHold(sale, reservationId, "300 ms");
    const [early, late] = (await sessions(2)) as [pg.PoolClient, pg.PoolClient];
    expect(await changeWithClaims(withoutCommit(early), reservationId, "confirm")).toMatchObject({
      verdict: "done",
    });
    await until(
      "the hold is over for a reader that does not see the confirmation",
      async () => (await liveSeats(buyerId)) === 0,
    );
    const others = await wishes(3, { buyerId });
    expect(await takeOne(late, others)).toBe("claimed");
    await early.query("commit");
    expect(await takeOne(late, others)).toBe("over_limit");
  });

  test("is not passed by two reservations that are confirmed in one batch after their end", async () => {
    const buyerId = newBuyer();
    const one = await over(await freeSeats(3), { buyerId });
    const two = await over(await freeSeats(3), { buyerId });
    const both = [changeOf(one, "confirm"), changeOf(two, "confirm")];
    const rows = await commitChangesWithClaims(await sale.session(), both);
    expect(rows.map((row) => row?.verdict)).toEqual(["done", "again"]);
    expect(await changeWithClaims(await sale.session(), two, "confirm")).toMatchObject({
      verdict: "over_limit",
    });
  });

  test("is what a change waits for nobody to decide on", async () => {
    const buyerId = newBuyer();
    const mine = await over(await freeSeats(2), { buyerId });
    const [holder, other] = (await sessions(2)) as [pg.PoolClient, pg.PoolClient];
    await take(withoutCommit(holder), await wishes(3, { buyerId }));
    const meanwhile = await within(
      changeWithClaims(other, mine, "confirm"),
      AT_ONCE_MS,
      "the change is answered",
    );
    expect(meanwhile).toBe("claimed");
    await holder.query("commit");
    expect(await changeWithClaims(other, mine, "confirm")).toMatchObject({
      verdict: "over_limit",
      seats: [],
    });
  });
});
