import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { PoolClient } from "pg";
import { commitChanges, commitChangesWithClaims } from "../../src/postgres/change.ts";
import { type Explained, explainOn } from "../fixtures/plans.ts";
import { changeOf, newKey, takeRows, type Wish, wishFor } from "./reservations.ts";
import { openSale, type Sale } from "./sale.ts";

const BATCH = 100;
/** Twice a row for each member of the batch; comparing all with all takes fifty times as much. */
const LIMIT_COMPARISONS = 2 * BATCH;
/** A day's keys, of which a batch needs at most one for each of its members. */
const KEYS = 5000;

type Kind = (place: number) => Partial<Wish> & { seatCount: number };

const KINDS: Record<string, Kind> = {
  "single seats": () => ({ seatCount: 1 }),
  "baskets and single seats": (place) => ({ seatCount: place % 5 === 0 ? 2 : 1 }),
  "seats with keys": () => ({ seatCount: 1, key: newKey() }),
  "seats of buyers": (place) => ({ seatCount: 1, buyerId: `buyer-${place}` }),
};

describe("the plan of an empty table serves a batch of a hundred on a full one", () => {
  let sale: Sale;
  let session: PoolClient;
  let explained: () => Explained[];

  const wishes = async (kind: Kind, count: number) => {
    const parts = Array.from({ length: count }, (_, place) => kind(place));
    const seatIds = await sale.addSeats(parts.reduce((sum, { seatCount }) => sum + seatCount, 0));
    return Promise.all(
      parts.map(({ seatCount, ...more }) => wishFor(sale, seatIds.splice(0, seatCount), more)),
    );
  };
  const confirm = (held: Wish[], withKeys: boolean) => {
    const changes = held.map(({ reservationId }) => changeOf(reservationId, "confirm"));
    if (!withKeys) return commitChanges(session, changes);
    return commitChangesWithClaims(
      session,
      changes.map((change) => ({ ...change, key: newKey() })),
    );
  };
  const sell = async (kind: Kind, count: number) => {
    const held = await wishes(kind, count);
    const taken = await takeRows(session, held);
    const [first] = held;
    const confirmed = await confirm(held, first?.key !== null || first?.buyerId !== null);
    return { taken, confirmed };
  };

  beforeAll(async () => {
    sale = await openSale();
    // A background analyse would make other plans in the middle of the test.
    for (const table of ["seats", "reservations", "seat_events", "idempotency_keys"])
      await sale.rows(`alter table ${table} set (autovacuum_enabled = off)`);
    session = await sale.session();
    for (const kind of Object.values(KINDS)) await sell(kind, 2);
    await sale.rows(
      "insert into idempotency_keys (scope, key, fingerprint) select 'client', 'old-' || n, 'a' from generate_series(1, $1::int) n",
      [KEYS],
    );
    explained = await explainOn(session);
  });
  afterAll(() => sale.close());

  test.each(Object.entries(KINDS))("of %s, held and confirmed", async (_what, kind) => {
    explained();
    const { taken, confirmed } = await sell(kind, BATCH);
    expect(taken.filter((row) => row?.verdict !== "won")).toEqual([]);
    expect(confirmed.filter((row) => row?.verdict !== "done")).toEqual([]);
    const statements = explained();
    expect(statements.length).toBeGreaterThan(0);
    expect(statements.filter(({ comparisons }) => comparisons > LIMIT_COMPARISONS)).toEqual([]);
    const keysRead = statements.flatMap(({ reads }) =>
      reads.filter(({ table }) => table === "idempotency_keys"),
    );
    expect(keysRead.filter(({ rows }) => rows > BATCH)).toEqual([]);
  });
});
